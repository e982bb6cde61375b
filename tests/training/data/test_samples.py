"""What a labelled image is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import DatasetError, mask_boxes


def test_maps_of_another_size_are_refused() -> None:
    sample = draw_figures(DENSEPOSE_COCO)
    with pytest.raises(DatasetError, match=r"figures_0_3: image is .* must have one size"):
        replace(sample, parts=sample.parts[:-1])


def test_one_row_a_person() -> None:
    sample = draw_figures(DENSEPOSE_COCO)
    with pytest.raises(DatasetError, match="one row a person"):
        replace(sample, has_mask=sample.has_mask[:1])


def test_boxes_are_the_outermost_pixels_and_zero_for_nobody() -> None:
    people = np.zeros((10, 12), np.uint8)
    people[2:5, 3] = people[4, 3:8] = 2
    np.testing.assert_array_equal(mask_boxes(people, 2), [[0, 0, 0, 0], [3, 2, 7, 4]])


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_drawn_figures_are_labelled_exactly(taxonomy: Taxonomy) -> None:
    sample = draw_figures(taxonomy, size=(192, 256), people=3, seed=5)
    np.testing.assert_array_equal(sample.parts > 0, sample.people > 0)
    assert set(np.unique(sample.people)) == {0, 1, 2, 3}
    assert sample.parts.max() <= len(taxonomy.part_names)
    seen = sample.keypoints[..., 2] == 2
    rows, joints = np.nonzero(seen)
    x, y = np.rint(sample.keypoints[rows, joints, :2]).astype(int).T
    np.testing.assert_array_equal(sample.people[y, x], rows + 1)
    again = draw_figures(taxonomy, size=(192, 256), people=3, seed=5)
    np.testing.assert_array_equal(sample.image, again.image)
    assert (sample.image != draw_figures(taxonomy, size=(192, 256), people=3, seed=6).image).any()
