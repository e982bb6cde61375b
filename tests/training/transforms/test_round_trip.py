"""Targets are what the decoder expects: decoding ideal maps gives back the labels they were made from."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from model.config import STRIDE, DecoderConfig
from model.decoder.decode import Decoder, People
from model.maps import HeadMaps
from model.taxonomy import TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.transforms.targets import Targets, encode, ideal_centers

SURE = 8.0  # logit of what is true


def perfect_maps(targets: Targets, channels: int) -> HeadMaps:
    """What a network without error would say."""
    cells = torch.from_numpy(targets.parts[2::STRIDE, 2::STRIDE].astype(np.int64))  # [h, w]
    parts = torch.nn.functional.one_hot(cells, channels).permute(2, 0, 1).float()  # [C+1, h, w]
    heatmap, limbs = torch.from_numpy(targets.heatmap).float(), torch.from_numpy(targets.limbs).float()
    center, ways = ideal_centers(targets)
    maps = HeadMaps(
        part_logits=(2 * parts - 1) * SURE,
        projection_field=torch.from_numpy(targets.projection).float(),
        heatmap_logits=(2 * heatmap - 1) * SURE,
        offsets=torch.from_numpy(targets.offsets).float(),
        limb_logits=torch.logit(limbs, eps=1e-4),
        center_logits=(2 * torch.from_numpy(center).float() - 1) * SURE,
        regression=torch.from_numpy(ways),
    )
    return HeadMaps(*(m[None] for m in maps))


def decode(targets: Targets, taxonomy: Taxonomy) -> People:
    return Decoder(taxonomy, DecoderConfig())(perfect_maps(targets, len(taxonomy.part_names) + 1))


# Seeds whose joints of one class are all more than 0.63 R apart: of closer ones, no disk keeps 0.7 of its votes.
@pytest.mark.parametrize("seed", [1, 3, 4, 6])
@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_people_joints_and_pixels_return(taxonomy: Taxonomy, seed: int) -> None:
    sample = draw_figures(taxonomy, size=(256, 384), people=3, seed=seed, height=0.8)
    people = decode(encode(sample, taxonomy, DecoderConfig()), taxonomy)
    keypoints = people.keypoints[0].numpy()
    count = int((people.person_score[0] > 0).sum())
    assert count == len(sample.keypoints)

    distance = np.hypot(*np.moveaxis(keypoints[:count, None, :, :2] - sample.keypoints[None, :, :, :2], -1, 0))
    slots, rows = linear_sum_assignment(np.median(distance, axis=2))
    present = sample.keypoints[rows, :, 2] > 0
    found = keypoints[slots, :, 2] > 0
    np.testing.assert_array_equal(found, present)
    assert distance[slots, rows][present].max() < 1

    part_map, person_map = people.part_map[0].numpy(), people.person_map[0].numpy()
    sure = away_from_edges(sample.parts, sample.people)
    assert (part_map == sample.parts)[sure].mean() > 0.995
    for slot, row in zip(slots, rows, strict=True):
        truth, mask = (sample.people == row + 1)[sure], (person_map == slot + 1)[sure]
        assert (truth & mask).sum() / (truth | mask).sum() > 0.97


def test_an_image_without_people_returns_none() -> None:
    taxonomy = TAXONOMIES["densepose_coco"]
    people = decode(encode(draw_figures(taxonomy, people=0), taxonomy, DecoderConfig()), taxonomy)
    assert not people.person_score.any()
    assert not people.part_map.any()


def away_from_edges(*maps: np.ndarray) -> np.ndarray:
    """Pixels [H, W] at least a cell away from any change of a map: finer contours do not fit into the cells."""
    height, width = maps[0].shape
    sure = np.ones((height, width), bool)
    for array in maps:
        padded = np.pad(array, STRIDE, mode="edge")
        for dy in range(2 * STRIDE + 1):
            for dx in range(2 * STRIDE + 1):
                sure &= padded[dy : dy + height, dx : dx + width] == array
    return sure
