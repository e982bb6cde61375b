"""Weights of pixels in the loss of parts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.taxonomy import DENSEPOSE_COCO, IGNORE
from tests.figures import draw_figures
from training.data.samples import Sample
from training.transforms.part_weights import BAND, part_weights


def two_boxes() -> Sample:
    """Person 1 in rows 10 to 29 and columns 10 to 29, person 2 in the same rows and columns 50 to 69; 40 x 80."""
    figures = draw_figures(DENSEPOSE_COCO, (40, 80), people=2)
    people = np.zeros((40, 80), np.uint8)
    people[10:30, 10:30], people[10:30, 50:70] = 1, 2
    return replace(figures, people=people, parts=np.minimum(people, 1))


def test_every_known_pixel_weighs_one() -> None:
    sample = two_boxes()
    sample.parts[:5] = IGNORE
    weight = part_weights(sample, 1.0, 1.0)
    assert (weight[:5] == 0).all()
    assert (weight[5:] == 1).all()


def test_contours_weigh_more_on_both_sides() -> None:
    weight = part_weights(two_boxes(), 1.0, 3.0)
    row = weight[20, :40]
    heavy = [*range(10 - BAND, 10 + BAND), *range(30 - BAND, 30 + BAND)]
    np.testing.assert_array_equal(np.flatnonzero(row == 3), heavy)
    assert (np.delete(row, heavy) == 1).all()


def test_contours_between_people_count_and_those_of_unknown_regions_do_not() -> None:
    sample = two_boxes()
    sample.people[10:30, 30:50] = 2  # person 2 now touches person 1
    sample.people[:, 70:] = sample.parts[:, 70:] = IGNORE  # and an unknown region
    weight = part_weights(sample, 1.0, 3.0)
    assert weight[20, 29] == weight[20, 30] == 3
    assert weight[20, 69] == 1
    assert weight[20, 70] == 0


def test_masks_that_a_model_made_weigh_less_and_so_do_their_contours() -> None:
    sample = replace(two_boxes(), pseudo_mask=np.array([True, False]))
    sample.parts[12:14, 12:14] = IGNORE
    weight = part_weights(sample, 0.25, 3.0)
    assert (weight[20, 10 - BAND : 30 + BAND] == 0.25).all()
    assert weight[20, 9 - BAND] == weight[20, 30 + BAND] == 1
    assert weight[20, 50] == 3  # the other mask is a person's work
    assert (weight[12:14, 12:14] == 0).all()


def test_a_true_mask_keeps_its_weight_beside_a_made_one() -> None:
    sample = replace(two_boxes(), pseudo_mask=np.array([True, False]))
    sample.people[10:30, 30:50] = 2
    weight = part_weights(sample, 0.25, 1.0)
    assert weight[20, 29] == 0.25
    assert weight[20, 30] == 1
