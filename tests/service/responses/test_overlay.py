"""Pictures: exact where they are data, readable where they are to be looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from model.colors import person_color
from model.raw_prediction import RawPrediction
from model.taxonomy import PASCAL_PERSON_PART
from service.parsing.parser import Parsed
from service.responses.overlay import overlay

SIZE, CANVAS = (150, 200), (96, 128)
RED_PART, BLUE_PART = 3, 2


def draw(parsed: Parsed, size: tuple[int, int] = SIZE) -> np.ndarray:
    image = Image.new("RGB", (size[1], size[0]), (90, 90, 90))
    return np.asarray(overlay(image, parsed, PASCAL_PERSON_PART)).astype(int)


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


def test_a_shrunk_image_looks_the_same(parsed: Parsed) -> None:
    half = Image.fromarray(draw(parsed).astype(np.uint8)).reduce(2)
    difference = np.abs(draw(parsed, (SIZE[0] // 2, SIZE[1] // 2)) - np.asarray(half).astype(int))
    assert difference.mean() < 6


def test_without_people_the_overlay_is_the_image(parsed: Parsed) -> None:
    nobody = RawPrediction(*(np.zeros_like(x) for x in parsed.output[:5]), overflow=0)
    assert (draw(replace(parsed, output=nobody)) == 90).all()
