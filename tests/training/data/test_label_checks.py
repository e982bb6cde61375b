"""What is reported about labels, and that right ones are not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.label_checks import LeftRightCheck, check_labels
from training.data.samples import Sample

T = DENSEPOSE_COCO


def judge(samples: list[Sample], taxonomy: Taxonomy = T) -> list[str]:
    sides = LeftRightCheck(taxonomy)
    for sample in samples:
        sides.add(sample)
    return sides.warnings()


@functools.cache
def draw(taxonomy: Taxonomy, seed: int) -> Sample:
    return draw_figures(taxonomy, (120, 150), people=2, seed=seed)


def figures(taxonomy: Taxonomy = T, count: int = 20) -> list[Sample]:
    """Not to be changed: they are drawn once."""
    return [draw(taxonomy, seed) for seed in range(count)]


def move_joint(sample: Sample, x: float, y: float) -> None:
    sample.keypoints[0, 9] = x, y, 2


def recolor(sample: Sample, old: int, new: int) -> None:
    sample.people[sample.people == old] = new


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_right_labels_are_not_reported(taxonomy: Taxonomy) -> None:
    for sample in figures(taxonomy, 5):
        assert check_labels(sample, taxonomy) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.parts.__setitem__((0, 0), 99), "part ids 99, but densepose_coco ends at 14"),
        (lambda s: recolor(s, 2, 3), "the people map has 3, but only 2 people are annotated"),
        (lambda s: recolor(s, 2, 1), "people 2 are annotated with a mask, but have no pixel"),
        (lambda s: recolor(s, 2, 0), "pixels have a part but no person"),
        (lambda s: move_joint(s, 205, 50), "person 1 has joints outside the image: left_wrist"),
        (lambda s: move_joint(s, 50, -1), "person 1 has joints outside the image: left_wrist"),
        (lambda s: move_joint(s, 199, 0), "person 1 has visible joints far from their mask: left_wrist"),
    ],
)
def test_wrong_labels_are_reported(damage: Callable[[Sample], object], message: str) -> None:
    sample = draw_figures(T, (160, 200), people=2, seed=1)
    damage(sample)
    assert any(message in warning for warning in check_labels(sample, T)), check_labels(sample, T)


def test_occluded_joints_and_people_without_masks_are_not_checked() -> None:
    sample = draw_figures(T, (160, 200), people=1)
    sample.keypoints[0, 9] = 199, 0, 1
    assert check_labels(sample, T) == []
    sample.keypoints[0, 9, 2] = 2
    sample.people[sample.people == 1] = 255
    assert check_labels(replace(sample, has_mask=np.zeros(1, bool)), T) == []


@pytest.mark.parametrize("name", ["densepose_coco", "mhp_v2"])
def test_right_sides_are_not_reported(name: str) -> None:
    assert judge(figures(TAXONOMIES[name]), TAXONOMIES[name]) == []


def facing(sample: Sample) -> Sample:
    """The people who look at the camera: their left is at the right of the picture."""
    keep = sample.keypoints[:, 5, 0] > sample.keypoints[:, 6, 0]
    return replace(
        sample, keypoints=sample.keypoints[keep], joints_labelled=sample.joints_labelled[keep],
        has_mask=sample.has_mask[keep], pseudo_mask=sample.pseudo_mask[keep], boxes=sample.boxes[keep],
    )  # fmt: skip


def test_swapped_joints_and_parts_are_reported() -> None:
    """Both are swapped: they agree with each other, and not with the picture."""
    samples = [facing(sample) for sample in figures(count=30)]
    assert judge(samples) == []
    part_flip = np.arange(256, dtype=np.uint8)
    part_flip[: len(T.part_flip)] = T.part_flip
    swapped = [replace(s, keypoints=s.keypoints[:, list(T.joint_flip)], parts=part_flip[s.parts]) for s in samples]
    assert [warning.split(":")[0] for warning in judge(swapped)] == ["left_shoulder", "left_hip"]


@pytest.mark.parametrize("name", ["densepose_coco", "mhp_v2"])
def test_parts_that_contradict_joints_are_reported(name: str) -> None:
    taxonomy = TAXONOMIES[name]
    part_flip = np.arange(256, dtype=np.uint8)
    part_flip[: len(taxonomy.part_flip)] = taxonomy.part_flip
    warnings = judge([replace(s, parts=part_flip[s.parts]) for s in figures(taxonomy)], taxonomy)
    named = {warning.split(":")[0] for warning in warnings}
    assert {"left_hand", "left_lower_arm"} <= named or {"left-hand", "left-arm"} <= named
    assert all(" of " in warning and "are left and right swapped?" in warning for warning in warnings)


def test_a_few_people_are_not_enough_to_judge() -> None:
    part_flip = np.arange(256, dtype=np.uint8)
    part_flip[: len(T.part_flip)] = T.part_flip
    assert judge([replace(s, parts=part_flip[s.parts]) for s in figures(count=4)]) == []
