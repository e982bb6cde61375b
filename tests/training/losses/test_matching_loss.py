from __future__ import annotations

import torch
from torch import Tensor

from model.config import DecoderConfig
from model.decoder.decode import Decoder
from model.decoder.peaks import Candidates
from model.frames import canvas_to_cell
from model.maps import HeadMaps
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.losses.matching_loss import matching_loss, owners
from training.transforms.targets import encode, ideal_centers

DECODER = Decoder(DENSEPOSE_COCO, DecoderConfig())


def figures() -> tuple[HeadMaps, Tensor]:
    """Maps that say what the labels of two figures say, and the figures' joints."""
    sample = draw_figures(DENSEPOSE_COCO, (192, 256), people=2, seed=3)
    targets = encode(sample, DENSEPOSE_COCO, DecoderConfig())
    center, ways = ideal_centers(targets)
    maps = HeadMaps(
        part_logits=torch.zeros(1, 15, 48, 64),
        projection_field=torch.zeros(1, 2, 48, 64),
        heatmap_logits=torch.from_numpy(targets.heatmap)[None].float() * 16 - 8,
        offsets=torch.from_numpy(targets.offsets)[None].float(),
        limb_logits=torch.from_numpy(targets.limbs)[None].float() * 8 - 4,
        center_logits=torch.from_numpy(center)[None].float() * 16 - 8,
        regression=torch.from_numpy(ways)[None],
    )
    return maps, torch.from_numpy(targets.joints)[None]


def test_right_groupings_cost_little_and_swapped_people_much() -> None:
    maps, joints = figures()
    right = matching_loss(maps, joints, DECODER)
    swapped = joints.clone()
    swapped[:, [0, 1], 7:11] = joints[:, [1, 0], 7:11]  # elbows and wrists trade owners
    assert right < 0.3
    assert matching_loss(maps, swapped, DECODER) > 2 * right


def test_the_error_reaches_heatmaps_offsets_and_limb_maps() -> None:
    maps, joints = figures()
    swapped = joints.clone()
    swapped[:, [0, 1], 7:11] = joints[:, [1, 0], 7:11]
    leaves = HeadMaps(*(m.clone().requires_grad_() for m in maps))
    matching_loss(leaves, swapped, DECODER).sum().backward()
    for leaf in (leaves.heatmap_logits, leaves.offsets, leaves.limb_logits):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()
        assert leaf.grad.abs().sum() > 0


def test_the_loss_is_zero_without_people() -> None:
    maps, joints = figures()
    nothing = maps._replace(heatmap_logits=torch.full_like(maps.heatmap_logits, -20.0))
    assert matching_loss(nothing, joints, DECODER) == 0
    assert matching_loss(maps, torch.zeros_like(joints), DECODER) == 0


def candidates(points: list[list[float]]) -> Candidates:
    """Candidates of one class at canvas points, all valid."""
    xy = canvas_to_cell(torch.tensor(points))[None, None]
    return Candidates(
        xy, torch.ones(1, 1, len(points)), torch.ones(1, 1, len(points), dtype=torch.bool), torch.zeros(1)
    )


def person(*joints: tuple[float, float, float]) -> Tensor:
    """[1, M, 1, 3]: one joint each of M people."""
    return torch.tensor(joints)[None, :, None]


def test_a_joint_owns_only_its_nearest_candidate() -> None:
    found = owners(candidates([[50, 50], [54, 50], [90, 90]]), person((53, 50, 2), (200, 200, 2)), reach=16)
    assert found.tolist() == [[[-1, 0, -1]]]


def test_two_people_may_not_own_one_candidate() -> None:
    found = owners(candidates([[50, 50]]), person((47, 50, 2), (51, 50, 1)), reach=16)
    assert found.tolist() == [[[1]]]


def test_unlabelled_joints_and_invalid_candidates_own_nothing() -> None:
    assert owners(candidates([[50, 50]]), person((50, 50, 0)), reach=16).tolist() == [[[-1]]]
    hidden = candidates([[50, 50]])._replace(valid=torch.zeros(1, 1, 1, dtype=torch.bool))
    assert owners(hidden, person((50, 50, 2)), reach=16).tolist() == [[[-1]]]
