"""Pictures: exact where they are data, readable where they are to be looked at."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.colors import person_color
from model.letterbox import letterbox_geometry
from model.taxonomy import DENSEPOSE_COCO, PASCAL_PERSON_PART
from service.images.header import Header
from service.parsing.parser import Parsed
from service.responses.label_maps import panoptic_png, parts_png, people_png
from service.responses.overlay import overlay
from service.runtimes.types import Output

SIZE, CANVAS = (150, 200), (96, 128)
RED_PART, BLUE_PART = 3, 2


@pytest.fixture
def parsed() -> Parsed:
    """Person 1 in the left half, rows 16..79 of the canvas, person 2 beside; a vertical limb in each."""
    part_map, person_map = np.zeros((2, *CANVAS), dtype=np.uint8)
    part_map[16:80, 10:60], person_map[16:80, 10:60] = RED_PART, 1
    part_map[16:80, 60:110], person_map[16:80, 60:110] = BLUE_PART, 2
    keypoints = np.zeros((4, 14, 3), dtype=np.float32)
    keypoints[0, :2] = [(35, 30, 0.9), (35, 60, 0.9)]
    keypoints[1, :2] = [(85, 30, 0.9), (85, 60, 0.9)]
    output = Output(part_map, person_map, keypoints, np.array([0.9, 0.8, 0, 0], np.float32), np.zeros((4, 6)), 0)
    return Parsed(Header("PNG", "RGB", 1, SIZE), letterbox_geometry(SIZE, CANVAS), "fast", CANVAS, output)


def draw(parsed: Parsed, size: tuple[int, int] = SIZE) -> np.ndarray:
    photo = Image.new("RGB", (size[1], size[0]), (90, 90, 90))
    return np.asarray(overlay(photo, parsed, PASCAL_PERSON_PART)).astype(int)


def distance(pixel: np.ndarray, color: tuple[int, int, int]) -> float:
    return float(np.abs(pixel - np.array(color)).max())


def test_parts_outlines_and_limbs_are_painted_where_they_are(parsed: Parsed) -> None:
    picture = draw(parsed, (4 * SIZE[0], 4 * SIZE[1]))
    scale = 4 * SIZE[0] / CANVAS[0]
    inside = picture[round(70 * scale), round(20 * scale)]
    colour = np.array(PASCAL_PERSON_PART.palette[RED_PART - 1])
    assert distance(inside, tuple(0.55 * colour + 0.45 * 90)) <= 3
    row = picture[round(45 * scale)]
    for x_canvas, person in ((35.5, 1), (85.5, 2), (10, 1), (110, 2)):  # limbs, outer outlines
        near = row[round(x_canvas * scale) - 2 : round(x_canvas * scale) + 3]
        assert min(distance(pixel, person_color(person)) for pixel in near) <= 30
    assert distance(picture[5, 5], (90, 90, 90)) == 0


def test_a_shrunk_photo_looks_the_same(parsed: Parsed) -> None:
    half = Image.fromarray(draw(parsed).astype(np.uint8)).reduce(2)
    difference = np.abs(draw(parsed, (SIZE[0] // 2, SIZE[1] // 2)) - np.asarray(half).astype(int))
    assert difference.mean() < 6


def test_without_people_the_overlay_is_the_photo(parsed: Parsed) -> None:
    nobody = Output(*(np.zeros_like(x) for x in parsed.output[:5]), overflow=0)
    assert (draw(replace(parsed, output=nobody)) == 90).all()


def test_layers_hold_ids_at_the_size_of_the_photo(parsed: Parsed) -> None:
    grid = parsed.id_grid()
    parts, people, panoptic = (
        np.asarray(Image.open(io.BytesIO(data)))
        for data in (parts_png(grid, PASCAL_PERSON_PART), people_png(grid), panoptic_png(grid))
    )
    assert parts.shape == people.shape == SIZE
    assert set(zip(people.ravel().tolist(), parts.ravel().tolist(), strict=True)) == {(0, 0), (1, 3), (2, 2)}
    assert np.array_equal(panoptic, np.stack([parts, people, np.zeros_like(parts)], axis=-1))


def test_people_and_parts_can_be_told_apart() -> None:
    for colors in ([person_color(i) for i in range(1, 13)], list(DENSEPOSE_COCO.palette)):
        for i, a in enumerate(colors):
            for b in colors[:i]:
                assert distance(np.array(a), b) >= 25, (a, b)
