"""The decoder: from maps at stride 4 to people, in one graph of fixed shapes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.config import STRIDE, DecoderConfig
from model.decoder.association import assign_cells, part_distances, within_reach
from model.decoder.calibration import calibrate, part_certainty
from model.decoder.centers import (
    CenterEvidence,
    center_agreement,
    center_responses,
    centers_disagree,
    find_centers,
)
from model.decoder.grouping import Poses, collect_people, label_fragments
from model.decoder.grouping_by_center import group_by_center
from model.decoder.hough import hough_scores
from model.decoder.label_maps import assemble
from model.decoder.limbs import filter_limb_coverage, limb_responses
from model.decoder.matching import match_dykstra, match_greedy, match_greedy_joint, round_assignment
from model.decoder.peaks import Candidates, find_peaks
from model.errors import InputError
from model.frames import cell_to_canvas
from model.maps import HeadMaps
from model.taxonomy import Taxonomy, parts_at_joints

_MAX_LABEL = 255  # the maps are uint8 and 0 is taken


class People(NamedTuple):
    """The outputs of `parser.onnx`. B images, H x W canvas pixels, P slots, K joints, C parts."""

    part_map: Tensor  # [B, H, W], uint8, 0 background, 1..C part
    person_map: Tensor  # [B, H, W], uint8, 0 nobody, p+1 slot p; a pixel has a part exactly if it has a person
    keypoints: Tensor  # [B, P, K, 3], x and y in canvas pixels, score in [0, 1]; 0 = not found
    person_score: Tensor  # [B, P], falling; 0 = empty slot
    part_score: Tensor  # [B, P, C], mean probability of the part's pixels; 0 = absent
    overflow: Tensor  # [B], int32, people beyond P or joints of one class beyond N, the more of both, dropped


class Assigned(NamedTuple):
    """People before calibration, and whose each cell is."""

    poses: Poses  # of P slots
    overflow: Tensor  # [B], as in `People`
    cell_person: Tensor  # [B, h, w] int64, the nearest person's slot, background too
    owned: Tensor  # [B, h, w] bool: the cell is within that person's reach


class Decoder(nn.Module):
    """Joints, limbs, people, pixels (section 3.3 and Eq. 17). It has no weights.

    Works in float32 whatever the maps are; call it outside autocast. What it says of an image does not depend on the
    other images of the batch. `detect` and `score` are differentiable, so that training reaches the three pose maps
    through the matching.

    Raises:
        InputError: the configuration contradicts itself or the taxonomy.
    """

    limbs: Tensor  # [2, L] int64
    joints_of_part: Tensor  # [C, K] of 0 and 1

    def __init__(self, taxonomy: Taxonomy, config: DecoderConfig) -> None:
        super().__init__()
        joints, parts = len(taxonomy.joint_names), len(taxonomy.part_names)
        if not 1 <= config.max_people <= min(_MAX_LABEL, joints * config.max_candidates):
            raise InputError(f"max_people={config.max_people}: use 1 to min({_MAX_LABEL}, joints * max_candidates)")
        if parts > _MAX_LABEL:
            raise InputError(f"{taxonomy.name} has {parts} parts: the maps hold at most {_MAX_LABEL}")
        if config.peak_window % 2 == 0:
            raise InputError(f"peak_window={config.peak_window}: use an odd number of cells")
        parts_of_joint = parts_at_joints(taxonomy, own_side=True)
        joints_of_part = torch.zeros(parts, joints)
        for joint, ids in enumerate(parts_of_joint or ()):
            joints_of_part[[i - 1 for i in ids], joint] = 1.0
        self.taxonomy = taxonomy
        self.config = config
        self._part_weight = config.association_part_weight if parts_of_joint else 0.0
        self.register_buffer("joints_of_part", joints_of_part, persistent=False)
        self.register_buffer("limbs", torch.tensor(taxonomy.limbs).T.contiguous(), persistent=False)

    def forward(self, maps: HeadMaps) -> People:
        """Decode a batch of maps [B, ..., h, w] to people on a canvas of H = 4h, W = 4w pixels."""
        maps = HeadMaps(*(m.float() for m in maps))
        config = self.config
        poses, overflow, cell_person, owned = self.assign(maps)
        if any(config.calibration):
            certainty = part_certainty(maps.part_logits, cell_person, owned, config.max_people)
            poses, new_slot = calibrate(poses, config.calibration, certainty, config.calibration_part_weight)
            cell_person = new_slot.gather(1, cell_person.flatten(1)).reshape(cell_person.shape)
        canvas = assemble(maps.part_logits, cell_person, owned, config.max_people, config.vote)
        xy_canvas = torch.where(poses.found[..., None], cell_to_canvas(poses.xy_cell), 0.0)
        keypoints = torch.cat((xy_canvas, poses.joint_score[..., None]), -1)
        return People(canvas.part_map, canvas.person_map, keypoints, poses.score, canvas.part_score, overflow)

    def assign(self, maps: HeadMaps) -> Assigned:
        """People of float32 maps, before calibration, and whose each cell is."""
        candidates = self.detect(maps)
        evidence = self.locate(maps, candidates)
        limbs = filter_limb_coverage(
            self._responses(maps, candidates), self.config.limb_threshold / 2, self.config.limb_coverage
        )
        matches = self.match(self._combined(limbs, evidence), candidates)
        poses = self.group(candidates, matches, evidence, maps.center_logits)
        power = self.config.association_power
        of_parts = None
        if self._part_weight:
            of_parts = self._part_weight * part_distances(maps.part_logits, poses, self.joints_of_part)
        cell_person, distance = assign_cells(maps.projection_field, poses, power, of_parts)
        owned = (poses.score[:, :1, None] > 0).expand_as(distance)
        if self.config.association_limit:
            limit, placed = self.config.association_limit, self.config.fill_score
            owned = owned & within_reach(cell_person, distance, poses, limit, placed, power)
        return Assigned(poses, torch.maximum(poses.overflow, candidates.overflow), cell_person, owned)

    def detect(self, maps: HeadMaps) -> Candidates:
        """The joint candidates of float32 maps; score and position are differentiable in heatmap and offsets."""
        config = self.config
        hough = hough_scores(maps.heatmap_logits, maps.offsets, config.radius / STRIDE, config.vote)
        return find_peaks(hough, config.max_candidates, config.peak_window, config.keypoint_threshold)

    def locate(self, maps: HeadMaps, candidates: Candidates) -> CenterEvidence | None:
        """People's centers and what they say of each candidate; None without `center_weight`, as in the paper."""
        if not self.config.center_weight:
            return None
        centers = find_centers(
            maps.center_logits, maps.regression, self.config.max_people, self.config.center_threshold
        )
        return CenterEvidence(centers, center_responses(candidates, centers))

    def score(self, maps: HeadMaps, candidates: Candidates) -> Tensor:
        """A [B, L, N, N], the score of every pair, limbs with gaps or not.

        Differentiable in limb map, positions and regression.
        """
        return self._combined(self._responses(maps, candidates).mean(-1), self.locate(maps, candidates))

    def _responses(self, maps: HeadMaps, candidates: Candidates) -> Tensor:
        return limb_responses(maps.limb_logits, candidates, self.limbs, self.config.limb_samples)

    def _combined(self, limbs: Tensor, evidence: CenterEvidence | None) -> Tensor:
        """[B, L, N, N] from limb scores of that shape."""
        if evidence is None:
            return limbs
        agreement = center_agreement(evidence.responses, self.limbs)
        scores = torch.lerp(limbs, agreement, self.config.center_weight)
        return torch.where(centers_disagree(evidence.responses, agreement, self.limbs), 0.0, scores)

    def match(self, scores: Tensor, candidates: Candidates) -> Tensor:
        """[B, L, N, N] of 0 and 1, which candidates are joined: the configured matcher, rounded."""
        config = self.config
        rows = candidates.valid.index_select(1, self.limbs[0])
        cols = candidates.valid.index_select(1, self.limbs[1])
        if config.matcher == "greedy":
            assignment = match_greedy(scores, rows, cols)
        elif config.matcher == "greedy_joint":
            certainty = candidates.score.index_select(1, self.limbs[0])
            assignment = match_greedy_joint(scores, certainty, rows, cols)
        else:
            steps = (config.matcher_step, config.matcher_outer, config.matcher_inner)
            assignment = match_dykstra(scores, rows, cols, *steps)
        return round_assignment(assignment, scores, config.limb_threshold)

    def group(self, candidates: Candidates, matches: Tensor, evidence: CenterEvidence | None, like: Tensor) -> Poses:
        """People of matched candidates, in maps as large as `like` [..., h, w]."""
        config = self.config
        labels = label_fragments(matches, self.taxonomy.limbs)
        if evidence is None:
            return collect_people(candidates, labels, config.max_people, config.person_threshold)
        return group_by_center(candidates, labels, evidence, config, like)
