"""Targets of a canvas: what is known, and what has weight 0."""

from __future__ import annotations

import numpy as np
import pytest

from model.config import DecoderConfig
from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample
from training.transforms.targets import Targets, encode

T = DENSEPOSE_COCO
NOSE, LEFT_KNEE, LEFT_ANKLE = 0, 13, 15
SHIN = T.limbs.index((LEFT_KNEE, LEFT_ANKLE))


def encoded(sample: Sample) -> Targets:
    return encode(sample, T, DecoderConfig())


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_shapes_and_types(taxonomy: Taxonomy) -> None:
    targets = encode(draw_figures(taxonomy, size=(128, 192)), taxonomy, DecoderConfig())
    k, limbs = len(taxonomy.joint_names), len(taxonomy.limbs)
    shapes = {name: (array.shape, array.dtype.name) for name, array in targets._asdict().items()}
    assert shapes == {
        "parts": ((128, 192), "uint8"),
        "part_weight": ((128, 192), "float16"),
        "heatmap": ((k, 32, 48), "uint8"),
        "heatmap_weight": ((k, 32, 48), "uint8"),
        "offsets": ((k, 2, 32, 48), "float16"),
        "projection": ((2, 32, 48), "float16"),
        "projection_weight": ((32, 48), "uint8"),
        "limbs": ((limbs, 32, 48), "float16"),
        "limb_weight": ((limbs, 32, 48), "uint8"),
        "joints": ((32, k, 3), "float32"),
        "boxes": ((32, 4), "float32"),
        "person_count": ((), "int64"),
    }


def test_offsets_and_projection_lead_to_joints_in_canvas_pixels() -> None:
    """A cell's center is canvas 4 x + 1.5; adding four times the vector gives a joint of the sample."""
    sample = draw_figures(T, seed=1)
    targets = encoded(sample)
    k, y, x = np.nonzero(targets.heatmap)
    vectors = targets.offsets[k, :, y, x].astype(float)
    points = 4 * np.stack([x, y], axis=1) + 1.5 + 4 * vectors  # [cells, 2]
    assert (np.hypot(*vectors.T) <= 8.01).all()
    joints = sample.keypoints[:, k, :2]  # [n, cells, 2]
    assert np.abs(joints - points).sum(axis=2).min(axis=0).max() < 0.05
    y, x = np.nonzero(targets.projection_weight)
    points = 4 * np.stack([x, y], axis=1) + 1.5 + 4 * targets.projection[:, y, x].T.astype(float)
    own = sample.keypoints[sample.people[4 * y + 2, 4 * x + 2] - 1]  # [cells, K, 3]
    assert np.abs(own[:, :, :2] - points[:, None]).sum(axis=2).min(axis=1).max() < 0.3


def test_occluded_joints_count_and_a_complete_sample_has_no_unknown_cell() -> None:
    sample = draw_figures(T, size=(256, 384), seed=2)
    assert (sample.keypoints[..., 2] > 0).all()
    sample.keypoints[0, NOSE, 2] = 1
    targets = encoded(sample)
    x, y = np.rint((sample.keypoints[0, NOSE, :2] - 1.5) / 4).astype(int)
    assert targets.heatmap[NOSE, y, x] == 1
    assert targets.heatmap_weight.all()
    assert targets.limb_weight.all()


def test_an_unlabelled_joint_is_unknown_around_its_person_and_nowhere_else() -> None:
    sample = draw_figures(T, size=(256, 512), people=2, seed=0, height=0.4)
    x, y = np.rint((sample.keypoints[0, LEFT_KNEE, :2] - 1.5) / 4).astype(int)
    other_x, other_y = np.rint((sample.keypoints[1, LEFT_KNEE, :2] - 1.5) / 4).astype(int)
    sample.keypoints[0, LEFT_KNEE] = 0
    sample.joints_labelled[0, LEFT_KNEE] = False
    targets = encoded(sample)
    disk = np.hypot(*(np.mgrid[:64, :128] - np.array([y, x])[:, None, None])) <= 8
    assert not targets.heatmap_weight[LEFT_KNEE][disk].any()
    assert targets.heatmap_weight[LEFT_KNEE, other_y, other_x] == targets.heatmap[LEFT_KNEE, other_y, other_x] == 1
    assert targets.heatmap_weight[LEFT_KNEE, :, -8:].all()
    assert targets.heatmap_weight[np.arange(17) != LEFT_KNEE].all()
    touching = [LEFT_KNEE in limb for limb in T.limbs]
    np.testing.assert_array_equal(targets.limb_weight.all(axis=(1, 2)), ~np.array(touching))
    assert targets.limb_weight[SHIN, other_y + 2, other_x] == 1


def test_a_joint_known_to_be_outside_is_a_negative_but_its_limb_is_unknown() -> None:
    sample = draw_figures(T, people=1, seed=0)
    sample.keypoints[0, LEFT_ANKLE] = 0
    targets = encoded(sample)
    assert not targets.heatmap[LEFT_ANKLE].any()
    assert targets.heatmap_weight.all()
    assert not targets.limb_weight[SHIN].all()
    sample.keypoints[0, LEFT_KNEE] = 0
    assert encoded(sample).limb_weight[SHIN].all()


def test_ignored_regions_are_unknown_outside_the_disks_of_labelled_joints() -> None:
    sample = draw_figures(T, people=2, seed=3)
    x, y = sample.keypoints[0, NOSE, :2].astype(int)
    sample.people[:, : x + 1] = sample.parts[:, : x + 1] = 255
    sample.has_mask[0] = False
    targets = encoded(sample)
    assert targets.heatmap[NOSE, y // 4, x // 4] == targets.heatmap_weight[NOSE, y // 4, x // 4] == 1
    cells = sample.people[2::4, 2::4] == 255
    np.testing.assert_array_equal(targets.heatmap_weight[:, cells], targets.heatmap[:, cells])
    assert targets.heatmap_weight[:, ~cells].all()
    assert not targets.projection_weight[cells].any()


def test_without_a_mask_the_box_is_the_region() -> None:
    sample = draw_figures(T, people=1, seed=0, height=0.4)
    sample.people[:] = sample.parts[:] = 0
    sample.has_mask[0] = False
    sample.keypoints[0, NOSE] = 0
    sample.joints_labelled[0, NOSE] = False
    sample.boxes[0] = 100, 120, 139, 159
    weight = encoded(sample).heatmap_weight[NOSE]
    expected = np.ones((64, 64), np.uint8)
    expected[30 - 8 : 39 + 9, 25 - 8 : 34 + 9] = 0  # 8 cells around the box
    np.testing.assert_array_equal(weight, expected)


def test_a_person_free_image_is_negative_everywhere() -> None:
    targets = encoded(draw_figures(T, people=0))
    assert targets.person_count == 0
    assert not targets.heatmap.any()
    assert targets.heatmap_weight.all()
    assert targets.limb_weight.all()
    assert not targets.projection_weight.any()


def test_people_beyond_the_rows_are_left_out() -> None:
    targets = encoded(draw_figures(T, size=(64, 512), people=34))
    assert targets.person_count == 32
    assert targets.joints.shape[0] == 32


def test_a_canvas_off_the_stride_is_refused() -> None:
    with pytest.raises(ValueError, match="figures_0_1: canvas 126x128 is not a multiple of 4"):
        encoded(draw_figures(T, size=(126, 128), people=1))
