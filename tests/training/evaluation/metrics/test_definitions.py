"""Every metric against a second, naive implementation of its definition, on random images with every edge case."""

from __future__ import annotations

import numpy as np
import pytest

from tests import naive_metrics as naive
from tests.naive_metrics import LabelledImage, random_images
from training.evaluation.metrics.averages import mean
from training.evaluation.metrics.boundaries import boundary_f, mask_boundary_f, part_contours
from training.evaluation.metrics.parts import VOLUME, PersonParts, compare_parts, pcp
from training.evaluation.metrics.people import Instances, average_precision, coco_ap, compare_masks
from training.evaluation.metrics.pixels import class_ious, confusion
from training.evaluation.metrics.regions import part_ap

C = 4
EXACT = {"rtol": 0, "atol": 1e-12}
both = pytest.mark.parametrize("ignore", [False, True], ids=["all known", "some unknown"])
seeds = pytest.mark.parametrize("seed", range(40))


def parts_of(images: list[LabelledImage]) -> list[PersonParts]:
    return [
        compare_parts((p.parts, p.people), (p.found_parts, p.found_people), p.count, p.score, p.part_score)
        for p in images
    ]


def masks_of(images: list[LabelledImage]) -> list[Instances]:
    return [compare_masks(p.people, p.found_people, np.ones(p.count, bool), p.score) for p in images]


def test_the_random_images_contain_every_edge_case() -> None:
    plain = [image for seed in range(40) for image in random_images(seed)]
    hidden = [image for seed in range(40) for image in random_images(seed, ignore=True)]
    assert any(image.count == 0 and len(image.score) for image in plain)
    assert any(image.count and not len(image.score) for image in plain)
    assert any(set(range(1, image.count + 1)) - set(image.people.ravel().tolist()) for image in plain)  # no pixel
    assert any(len(set(image.score.tolist())) < len(image.score) for image in plain)
    assert any(len(set(image.parts.ravel().tolist())) < C + 1 for image in plain)
    assert any(people.dt_ignore.any() for people in masks_of(hidden))
    assert any(part.dt_ignore.any() for part in parts_of(hidden))
    assert any(not part.people.countable.all() for part in parts_of(hidden))
    once, anyhow = (part_ap(parts_of(plain), VOLUME, one_to_one) for one_to_one in (True, False))
    assert (once < anyhow).any()  # duplicates
    assert not (once > anyhow).any()


@both
@seeds
def test_mean_iou(seed: int, ignore: bool) -> None:
    images = random_images(seed, C, ignore)
    ious = class_ious(sum(confusion(p.parts, p.found_parts, C + 1) for p in images))
    np.testing.assert_allclose(mean(ious), naive.mean_iou(images, C), **EXACT)


@both
@seeds
def test_average_precision_of_parts_and_pcp(seed: int, ignore: bool) -> None:
    images = random_images(seed, C, ignore)
    parts = parts_of(images)
    for threshold in VOLUME:
        found = average_precision([part.people for part in parts], threshold), pcp(parts, threshold)
        np.testing.assert_allclose(found, naive.person_parts(images, C, threshold), **EXACT)


@pytest.mark.parametrize("one_to_one", [False, True], ids=["de facto", "one-to-one"])
@both
@seeds
def test_average_precision_of_regions(seed: int, ignore: bool, one_to_one: bool) -> None:
    images = random_images(seed, C, ignore)
    expected = [[naive.part_ap(images, part, t, one_to_one) for part in range(1, C + 1)] for t in VOLUME]
    np.testing.assert_allclose(part_ap(parts_of(images), VOLUME, one_to_one), expected, **EXACT)


@both
@seeds
def test_average_precision_of_masks(seed: int, ignore: bool) -> None:
    images = random_images(seed, C, ignore)
    expected = [naive.mask_ap(images, threshold) for threshold in np.linspace(0.5, 0.95, 10)]
    found = coco_ap(masks_of(images))
    np.testing.assert_allclose(
        [found["AP"], found["AP50"], found["AP75"]], [np.mean(expected), expected[0], expected[5]], **EXACT
    )


@both
@pytest.mark.parametrize("seed", range(12))
def test_boundaries_of_parts(seed: int, ignore: bool) -> None:
    images = random_images(seed, C, ignore)
    counts = sum(part_contours(p.parts, p.found_parts, C) for p in images)
    expected = np.zeros((C, 4), int)
    for p in images:
        for part in range(1, C + 1):
            expected[part - 1] += naive.boundary_counts(p.parts == part, p.found_parts == part, p.parts == 255)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(boundary_f(counts), [naive.f_score(row) for row in expected.tolist()], **EXACT)


@both
@pytest.mark.parametrize("seed", range(12))
def test_boundaries_of_masks(seed: int, ignore: bool) -> None:
    for p, people in zip(images := random_images(seed, C, ignore), masks_of(images), strict=True):
        expected = []
        for person in range(1, p.count + 1):
            known = p.people != 255
            mine = p.people == person
            masks = [p.found_people == j + 1 for j in range(len(p.score))]
            ious = [(mine & mask & known).sum() / max(((mine | mask) & known).sum(), 1) for mask in masks]
            best = masks[int(np.argmax(ious))] if ious and max(ious) > 0 else np.zeros_like(mine)
            counts = naive.boundary_counts(mine, best, ~known)
            expected.append(naive.f_score(counts) if mine.any() else np.nan)
        np.testing.assert_allclose(mask_boundary_f(p.people, p.found_people, people), expected, **EXACT)
