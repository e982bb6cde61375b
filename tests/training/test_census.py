"""Counts of a data set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.census import Census

T = DENSEPOSE_COCO


def test_photos_are_added_up() -> None:
    census = Census(T)
    first, second = draw_figures(T, (100, 100), people=3, seed=1), draw_figures(T, (100, 100), people=2, seed=2)
    first.keypoints[0, 0] = 0
    first.joints_labelled[0, 0] = False
    second.keypoints[:, 0] = (50, 50, 1), (50, 50, 2)
    second.parts[:25], second.people[:10] = 255, 255
    census.add(first)
    census.add(replace(second, has_mask=np.array([True, False])))
    census.add(draw_figures(T, (100, 100), people=0))
    assert (census.photos, census.empty, census.people, census.masks) == (3, 1, 5, 4)
    first_nose = int((first.keypoints[:, 0, 2] == 2).sum())
    assert (census.visible[0], census.unlabelled[0]) == (first_nose + 1, 1)
    assert census.occluded[0] == 2 - first_nose + 1
    assert census.pixels.sum() == 30_000
    assert census.pixels[1] == (first.parts == 1).sum() + (second.parts == 1).sum()
    table = census.table()
    assert "5, 4 with a mask; 1 photos show nobody" in table
    assert "8.33% of pixels have no known part, 3.33% no known person" in table
    assert f"torso{census.pixels[1]:>35,}" in table
