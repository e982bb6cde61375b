"""One warp for the image and all of its labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.letterbox import LETTERBOX_COLOR
from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample
from training.transforms.augment import Augmentation, augment, jpeg_compress, letterbox

T = DENSEPOSE_COCO
STILL = Augmentation(hflip_prob=0, scale=(1, 1), rotation=0, color_jitter=0)


def view(sample: Sample, seed: int, config: Augmentation, size: tuple[int, int] = (256, 256)) -> Sample:
    return augment(sample, np.random.default_rng(seed), size, T, config)


def test_without_variation_an_image_of_the_canvas_size_stays_as_it_is() -> None:
    sample = draw_figures(T)
    same = view(sample, 0, STILL)
    for name in ("parts", "people", "joints_labelled"):
        np.testing.assert_array_equal(getattr(same, name), getattr(sample, name))
    assert np.abs(same.image.astype(int) - sample.image).max() <= 1  # Pillow rounds down
    np.testing.assert_allclose(same.keypoints, sample.keypoints, atol=1e-4)
    np.testing.assert_allclose(same.boxes, sample.boxes, atol=1e-4)


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_swap_left_right_exchanges_parts_and_joints(taxonomy: Taxonomy) -> None:
    sample = draw_figures(taxonomy, seed=4)
    sample.joints_labelled[0, 0] = False
    flip = replace(STILL, hflip_prob=1)
    mirrored = augment(sample, np.random.default_rng(0), (256, 256), taxonomy, flip)
    np.testing.assert_array_equal(mirrored.image, sample.image[:, ::-1])
    np.testing.assert_array_equal(mirrored.parts, np.array(taxonomy.part_flip, np.uint8)[sample.parts[:, ::-1]])
    order = list(taxonomy.joint_flip)
    seen = sample.keypoints[..., 2] > 0
    expected = np.where(seen, 255 - sample.keypoints[..., 0], 0)[:, order]
    np.testing.assert_allclose(mirrored.keypoints[..., 0], expected, atol=1e-3)
    np.testing.assert_array_equal(mirrored.joints_labelled, sample.joints_labelled[:, order])
    twice = augment(mirrored, np.random.default_rng(0), (256, 256), taxonomy, flip)
    np.testing.assert_array_equal(twice.parts, sample.parts)
    np.testing.assert_allclose(twice.keypoints, sample.keypoints, atol=1e-3)


def test_joints_and_pixels_move_together() -> None:
    """A block of pixels is painted around one joint; in every view its centroid is where the joint went."""
    config = Augmentation(hflip_prob=0.5, scale=(0.7, 1.3), rotation=30, color_jitter=0)
    rows, columns = np.mgrid[:256, :256]
    whole = 0
    for seed in range(16):
        sample = draw_figures(T, size=(300, 400), people=1, seed=seed, height=0.5)
        x, y = np.rint(sample.keypoints[0, 0, :2]).astype(int)
        block = slice(y - 8, y + 9), slice(x - 8, x + 9)
        sample.keypoints[0, 0, :2] = x, y
        sample.parts[:], sample.image[:] = 0, 0
        sample.parts[block], sample.image[block] = 14, 255
        moved = view(sample, seed, config)
        joint = moved.keypoints[0, 0] if len(moved.keypoints) else np.zeros(3)
        if joint[2] == 0 or joint[:2].min() < 12 or joint[:2].max() > 243:
            continue  # the canvas may cut the block
        whole += 1
        bars = (moved.image == LETTERBOX_COLOR).all(axis=-1)
        light = np.where(bars, 0, moved.image[..., 0].astype(float))
        for weight in (moved.parts == 14, light):
            centroid = [(columns * weight).sum() / weight.sum(), (rows * weight).sum() / weight.sum()]
            np.testing.assert_allclose(centroid, joint[:2], atol=0.4)
    assert whole >= 8


def test_joints_outside_the_canvas_are_known_to_be_absent_and_lost_people_are_dropped() -> None:
    sample = draw_figures(T, size=(200, 400), people=4, seed=1, height=0.9)
    close = replace(STILL, scale=(2.5, 2.5))
    counts = set()
    for seed in range(8):
        near = view(sample, seed, close)
        count = len(near.keypoints)
        counts.add(count)
        assert set(np.unique(near.people)) - {0} == set(range(1, count + 1))
        outside = near.keypoints[..., 2] == 0
        assert outside.any()
        assert not near.keypoints[outside].any()
        assert near.joints_labelled.all()
        assert (near.keypoints[..., :2] > -0.5).all()
        assert (near.keypoints[..., :2] < 255.5).all()
    assert min(counts) < 4


def test_a_person_without_mask_stays_while_a_joint_does() -> None:
    sample = draw_figures(T, people=2, seed=2)
    sample.people[sample.people == 1] = 255
    sample.has_mask[0] = False
    moved = view(sample, 0, Augmentation(scale=(0.5, 0.5)))
    np.testing.assert_array_equal(moved.has_mask, [False, True])
    assert set(np.unique(moved.people)) == {0, 2, 255}


def test_around_the_image_lie_bars_labelled_background() -> None:
    small = view(draw_figures(T), 3, Augmentation(scale=(0.5, 0.5), rotation=0, color_jitter=0.5))
    bars = (small.image == LETTERBOX_COLOR).all(axis=-1)
    assert bars.mean() == pytest.approx(0.75, abs=0.01)
    assert not small.parts[bars].any()
    assert len(small.keypoints) == 3  # the whole image is in view


def test_augmented_images_contain_people() -> None:
    """Somebody stands in the corner of a wide image; close views find them."""
    sample = draw_figures(T, size=(100, 800), people=8, seed=0, height=0.5)
    sample = replace(
        sample, keypoints=sample.keypoints[:1], joints_labelled=sample.joints_labelled[:1], boxes=sample.boxes[:1],
        has_mask=sample.has_mask[:1], pseudo_mask=sample.pseudo_mask[:1],
        people=np.where(sample.people == 1, 1, 0).astype(np.uint8),
    )  # fmt: skip
    for seed in range(20):
        assert len(view(sample, seed, Augmentation(scale=(4, 4))).keypoints) == 1


def test_an_augmentation_depends_on_the_generator_alone() -> None:
    sample = draw_figures(T)
    np.testing.assert_array_equal(view(sample, 1, Augmentation()).image, view(sample, 1, Augmentation()).image)
    assert (view(sample, 1, Augmentation()).image != view(sample, 2, Augmentation()).image).any()


def test_colors_change_and_labels_do_not() -> None:
    sample = draw_figures(T)
    views = [view(sample, seed, replace(STILL, color_jitter=0.4)) for seed in range(6)]
    for varied in views:
        np.testing.assert_array_equal(varied.parts, sample.parts)
        assert (varied.image != sample.image).mean() > 0.5
    means = np.array([varied.image.mean() for varied in views])
    assert means.std() > 5


def test_some_views_are_compressed_and_the_others_stay_as_they_were() -> None:
    sample = draw_figures(T)
    plain = [view(sample, seed, Augmentation()) for seed in range(12)]
    mixed = [view(sample, seed, Augmentation(jpeg_prob=0.5)) for seed in range(12)]
    changed = [(before.image != after.image).any() for before, after in zip(plain, mixed, strict=True)]
    assert 0 < sum(changed) < len(changed)
    for before, after in zip(plain, mixed, strict=True):
        np.testing.assert_array_equal(before.parts, after.parts)
        assert np.abs(before.image.astype(int) - after.image).mean() < 12


def test_lower_quality_changes_more() -> None:
    image = draw_figures(T).image
    low, high = (np.abs(jpeg_compress(image, quality).astype(int) - image).mean() for quality in (20, 90))
    assert 0 < high < 0.8 * low


def test_greys_keep_their_hue() -> None:
    sample = draw_figures(T, people=0)
    grey = replace(sample, image=np.full_like(sample.image, 100))
    turned = view(grey, 0, replace(STILL, color_jitter=0.3)).image
    assert np.ptp(turned.astype(int), axis=-1).max() <= 1


def test_shrinking_averages_instead_of_skipping() -> None:
    """Lines one pixel wide become even grey, not a beat pattern."""
    sample = draw_figures(T, size=(512, 512), people=0)
    sample.image[:, ::2], sample.image[:, 1::2] = 0, 200
    small = view(sample, 0, replace(STILL, scale=(0.5, 0.5)))
    bars = (small.image == LETTERBOX_COLOR).all(axis=-1)
    inside = small.image[~bars]
    assert inside.mean() == pytest.approx(100, abs=3)
    assert np.percentile(inside, 99) - np.percentile(inside, 1) < 10


def test_letterbox_centers_an_image_and_its_labels() -> None:
    sample = draw_figures(T, size=(120, 320), people=4, seed=3)
    fitted, box = letterbox(sample, (256, 256))
    assert (box.height, box.width, box.offset_y) == (96, 256, 80)
    assert (fitted.image[:80] == LETTERBOX_COLOR).all()
    assert (fitted.image[176:] == LETTERBOX_COLOR).all()
    assert not fitted.parts[:80].any()
    seen = sample.keypoints[..., 2] > 0
    expected = np.stack(box.to_canvas(sample.keypoints[..., 0], sample.keypoints[..., 1]), axis=-1)
    np.testing.assert_allclose(fitted.keypoints[seen][:, :2], expected[seen], atol=1e-3)
    joints = np.argwhere((fitted.keypoints[..., 2] == 2) & (np.arange(17) == 11))  # hips lie well inside the torso
    for row, joint in joints:
        x, y = np.rint(fitted.keypoints[row, joint, :2]).astype(int)
        assert fitted.people[y, x] == row + 1
