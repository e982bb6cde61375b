"""Disturbed images: labels stay where the pixels went."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.letterbox import LETTERBOX_COLOR
from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample
from training.evaluation.perturbations import (
    FULL_WELL,
    HFLIP,
    JPEG_QUALITY,
    LIGHT,
    PERTURBATIONS,
    READ_NOISE,
    shrink,
    turn,
)

T = DENSEPOSE_COCO
IN_PLACE = ("low_light", "jpeg_q30")


def disturbed(name: str, sample: Sample, taxonomy: Taxonomy = T) -> Sample:
    return PERTURBATIONS[name].apply(sample, taxonomy)[0]


def flat(grey: int, size: tuple[int, int] = (200, 300), key: str = "flat") -> Sample:
    """An image of one grey that shows nobody."""
    sample = draw_figures(T, size=size, people=0)
    return replace(sample, image=np.full((*size, 3), grey, np.uint8), key=key)


def linear(image: np.ndarray) -> np.ndarray:
    """Light in [0, 1] of sRGB, as the standard writes it."""
    value = image / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_joints_and_boxes_follow_the_affine_map_and_no_person_is_dropped(name: str) -> None:
    sample = draw_figures(T, size=(255, 413), people=4, seed=2, height=0.6)
    view, affine = PERTURBATIONS[name].apply(sample, T)
    flip = list(T.joint_flip) if name == HFLIP else list(range(17))
    before = sample.keypoints[:, flip]
    seen = before[..., 2] > 0
    assert 0 < seen.mean() < 1  # absent joints stay absent
    np.testing.assert_array_equal(view.keypoints[..., 2], before[..., 2])
    expected = (before[..., :2] + 0.5) @ affine[:, :2].T + affine[:, 2] - 0.5
    np.testing.assert_allclose(view.keypoints[seen][:, :2], expected[seen], atol=1e-3)
    assert view.image.shape == (*view.size, 3)
    assert set(np.unique(view.people)) == {0, 1, 2, 3, 4}
    scale = abs(np.linalg.det(affine[:, :2]))
    pixels, pixels_before = np.bincount(view.people.ravel()), np.bincount(sample.people.ravel())
    np.testing.assert_allclose(pixels[1:], pixels_before[1:] * scale, rtol=0.06)
    corners = (sample.boxes[:, [[0, 1], [2, 3]]] + 0.5) @ affine[:, :2].T + affine[:, 2] - 0.5
    corners = np.clip(corners, 0, np.array(view.size[::-1]) - 1)
    assert (corners.min(axis=1) >= view.boxes[:, :2] - 1e-3).all()
    assert (corners.max(axis=1) <= view.boxes[:, 2:] + 1e-3).all()


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_a_block_of_pixels_goes_where_its_joint_goes(name: str) -> None:
    """Its image and its label: the centroid of both is the joint's place."""
    sample = draw_figures(T, size=(240, 400), people=1, seed=5, height=0.5)
    x, y = np.rint(sample.keypoints[0, 5, :2]).astype(int)
    block = slice(y - 12, y + 13), slice(x - 12, x + 13)
    sample.keypoints[0, 5, :2] = x, y
    sample.parts[:], sample.people[:], sample.image[:] = 0, 0, 0
    sample.parts[block], sample.people[block], sample.image[block] = 1, 1, 255  # the torso has no sides
    view = disturbed(name, sample)
    joint = T.joint_flip[5] if name == HFLIP else 5
    rows, columns = np.mgrid[: view.size[0], : view.size[1]]
    bars = (view.image == LETTERBOX_COLOR).all(axis=-1)
    light = np.where(bars | (view.image[..., 0] < 60), 0, view.image[..., 0].astype(float))
    for weight in (view.parts == 1, view.people == 1, light):
        centroid = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
        np.testing.assert_allclose(centroid, view.keypoints[0, joint, :2], atol=0.4)


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_hflip_exchanges_left_and_right_and_the_control_does_not(taxonomy: Taxonomy) -> None:
    sample = draw_figures(taxonomy, seed=4)
    mirrored, control = (disturbed(name, sample, taxonomy) for name in (HFLIP, "hflip_no_swap"))
    for view in (mirrored, control):
        np.testing.assert_array_equal(view.image, sample.image[:, ::-1])
        np.testing.assert_array_equal(view.people, sample.people[:, ::-1])
    np.testing.assert_array_equal(control.parts, sample.parts[:, ::-1])
    np.testing.assert_array_equal(mirrored.parts, np.array(taxonomy.part_flip)[sample.parts[:, ::-1]])
    np.testing.assert_allclose(control.keypoints[..., 0], 255 - sample.keypoints[..., 0], atol=1e-3)
    np.testing.assert_array_equal(mirrored.keypoints, control.keypoints[:, list(taxonomy.joint_flip)])
    twice = disturbed(HFLIP, mirrored, taxonomy)
    for name in ("image", "parts", "people", "joints_labelled"):
        np.testing.assert_array_equal(getattr(twice, name), getattr(sample, name))
    np.testing.assert_allclose(twice.keypoints, sample.keypoints, atol=1e-3)


def test_rotation_cuts_nothing_and_fills_corners() -> None:
    sample = flat(255, (200, 300))
    corners = [(0, 0), (0, 299), (199, 0), (199, 299)]
    for row, column in corners:
        sample.parts[max(row - 3, 0) : row + 4, max(column - 3, 0) : column + 4] = 1
    view, affine = turn(15)(sample, T)
    # 300 cos 15 + 200 sin 15 = 341.5, 200 cos 15 + 300 sin 15 = 270.8
    assert view.size == (271, 342)
    white = (view.image == 255).all(axis=-1)
    assert white.sum() == pytest.approx(200 * 300, rel=0.015)  # less what is blended along the edge
    for row, column in corners:
        x, y = affine @ [column + 0.5, row + 0.5, 1]
        assert view.parts[int(y), int(x)] == 1
    assert (view.image[0, 0] == LETTERBOX_COLOR).all()
    assert view.parts[0, 0] == 0
    np.testing.assert_allclose(affine @ [150, 100, 1], [342 / 2, 271 / 2])  # the center stays the center


def test_counter_clockwise_rotation_raises_the_right_side() -> None:
    sample = flat(0, (101, 201))
    sample.image[48:53, 150:155] = 255
    for name, sign in (("rotate_ccw_15", -1), ("rotate_cw_15", 1)):
        view = disturbed(name, sample)
        y, x = np.argwhere(view.image[..., 0] > 200).mean(axis=0)
        dx, dy = x + 0.5 - view.size[1] / 2, y + 0.5 - view.size[0] / 2
        assert dy == pytest.approx(sign * 52 * np.sin(np.radians(15)), abs=0.5)
        assert dx == pytest.approx(52 * np.cos(np.radians(15)), abs=0.5)


@pytest.mark.parametrize(("name", "factor"), [("downscale_2x", 2), ("downscale_4x", 4)])
def test_shrinking_averages_areas(name: str, factor: int) -> None:
    sample = draw_figures(T, size=(240, 320), seed=3)
    view = disturbed(name, sample)
    assert view.size == (240 // factor, 320 // factor)
    blocks = sample.image.reshape(240 // factor, factor, 320 // factor, factor, 3).mean(axis=(1, 3))
    assert np.abs(view.image - blocks).max() <= 1  # rows and columns are rounded in turn


def test_shrinking_rounds_sides_and_leaves_a_pixel() -> None:
    for size, expected in (((241, 319), (60, 80)), ((3, 2), (1, 1)), ((1, 9), (1, 2))):
        assert shrink(4)(flat(90, size), T)[0].size == expected


def test_low_light_has_the_mean_and_the_noise_of_its_model() -> None:
    for grey in (120, 255):
        light = LIGHT * linear(np.array(grey))
        dark = linear(disturbed("low_light", flat(grey)).image)
        assert dark.mean() == pytest.approx(light, rel=0.01)
        # Shot noise n, read noise^2, and 8 bits, whose step in light is that of sRGB there.
        step = linear(np.array(256 * 1.0) * (light ** (1 / 2.4) * 1.055 - 0.055)) - light
        variance = light / FULL_WELL + (READ_NOISE / FULL_WELL) ** 2 + step**2 / 12
        assert dark.std() == pytest.approx(np.sqrt(variance), rel=0.03)
        assert abs(np.corrcoef(dark[..., 0].ravel(), dark[..., 1].ravel())[0, 1]) < 0.02  # channels are independent
    assert disturbed("low_light", flat(0)).image.mean() < 5


def test_noise_belongs_to_the_image() -> None:
    first, again, other = (disturbed("low_light", flat(120, key=key)).image for key in ("a", "a", "b"))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_a_jpeg_of_the_quality() -> None:
    sample = draw_figures(T, seed=6)
    file = io.BytesIO()
    Image.fromarray(sample.image).save(file, "JPEG", quality=JPEG_QUALITY)
    np.testing.assert_array_equal(disturbed("jpeg_q30", sample).image, np.asarray(Image.open(file)))
    assert 1 < np.abs(disturbed("jpeg_q30", sample).image.astype(int) - sample.image).mean() < 15


@pytest.mark.parametrize("name", IN_PLACE)
def test_low_light_and_compression_keep_labels(name: str) -> None:
    sample = draw_figures(T, seed=7)
    view = disturbed(name, sample)
    assert (view.image != sample.image).any()
    for label in ("parts", "people", "keypoints", "boxes", "joints_labelled", "has_mask"):
        np.testing.assert_array_equal(getattr(view, label), getattr(sample, label))


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_person_free_images_and_people_without_masks_are_perturbed(name: str) -> None:
    assert len(disturbed(name, draw_figures(T, people=0)).keypoints) == 0
    sample = draw_figures(T, people=2, seed=2)
    sample.people[sample.people == 1] = 255
    sample.has_mask[0] = False
    view = disturbed(name, sample)
    np.testing.assert_array_equal(view.has_mask, [False, True])
    assert set(np.unique(view.people)) == {0, 2, 255}
