"""Pictures: what is drawn where."""

from __future__ import annotations

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.visualization.drawing import draw_people, image_grid

T = DENSEPOSE_COCO
NOBODY = np.zeros((0, 17, 3), np.float32)


def test_parts_get_their_colors_and_the_rest_stays_as_it_is() -> None:
    sample = draw_figures(T)
    picture = draw_people(sample.image, sample.parts, np.zeros_like(sample.people), NOBODY, T, opacity=1)
    np.testing.assert_array_equal(picture[sample.parts == 0], sample.image[sample.parts == 0])
    for part, color in enumerate(T.palette, start=1):
        assert (picture[sample.parts == part] == color).all()


def test_unknown_pixels_show() -> None:
    sample = draw_figures(T)
    sample.parts[:40], sample.people[:40] = 255, 255
    picture = draw_people(sample.image, sample.parts, sample.people, NOBODY, T, opacity=1)
    assert (picture[:40] == (255, 0, 255)).all()


def test_people_are_outlined_in_different_colors() -> None:
    people = np.zeros((30, 40), np.uint8)
    people[5:20, 5:15], people[5:20, 20:30] = 1, 2
    picture = draw_people(np.zeros((30, 40, 3), np.uint8), np.zeros_like(people), people, NOBODY, T)
    first, second = picture[10, 14], picture[10, 29]
    assert first.any()
    assert second.any()
    assert (first != second).any()
    assert not picture[10, 10].any()


def test_outlines_close_and_grow_with_lines() -> None:
    people = np.zeros((30, 40), np.uint8)
    people[5:20, 5:15] = 1
    blank = np.zeros((30, 40, 3), np.uint8)
    for line in (2, 6):
        drawn = draw_people(blank, np.zeros_like(people), people, NOBODY, T, line=line).any(axis=2)
        inside = np.zeros_like(drawn)
        inside[5 + line // 2 : 20 - line // 2, 5 + line // 2 : 15 - line // 2] = True
        np.testing.assert_array_equal(drawn, (people == 1) & ~inside)


def test_found_joints_are_drawn_and_others_are_not() -> None:
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 5], keypoints[0, 7], keypoints[0, 9] = (10, 10, 0.9), (30, 10, 2), (30, 30, 0)
    blank = np.full((40, 40, 3), 128, np.uint8)
    drawn = (draw_people(blank, np.zeros((40, 40), np.uint8), np.zeros((40, 40), np.uint8), keypoints, T) != blank).any(
        2
    )
    assert drawn[10, 10:31].all()
    assert not drawn[15:].any()


def test_an_image_grid_is_filled_row_by_row() -> None:
    pictures = [np.full((10, 20, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = image_grid([*pictures[:2], pictures[2][:5]], columns=2)
    assert sheet.shape == (22, 42, 3)
    assert (sheet[:10, 22:] == 20).all()
    assert (sheet[12:17, :20] == 30).all()
    assert not sheet[17:].any()
    assert not sheet[12:, 22:].any()


def test_an_empty_image_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        image_grid([], columns=2)
