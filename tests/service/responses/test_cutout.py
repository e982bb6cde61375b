"""Cut-outs: whom one asked for, and nothing else, not even under the transparency."""

from __future__ import annotations

import io

import httpx
import numpy as np
import pytest
from PIL import Image

from service.parsing.parser import Parsed
from service.problems import Problem
from service.responses.cutout import cutout
from tests.service.conftest import encode
from tests.service.http.test_errors import check

GREY = (90, 91, 92)


def cut(parsed: Parsed, person: int | None, scale: int = 1) -> np.ndarray:
    height, width = parsed.header.size_image
    return np.asarray(cutout(Image.new("RGB", (width * scale, height * scale), GREY), parsed, person)).astype(int)


def alpha_at(picture: np.ndarray, x_canvas: float, y_canvas: float, scale: int) -> int:
    return picture[round(y_canvas * scale), round(x_canvas * scale), 3]


def test_everybody_or_one_person_is_left(parsed: Parsed) -> None:
    first, both = 1.5625 * 35, 1.5625 * 85  # columns of the image in the middle of person 1 and 2
    for person, expected in ((None, (255, 255)), (1, (255, 0)), (2, (0, 255))):
        row = cut(parsed, person)[75]
        assert (row[round(first), 3], row[round(both), 3]) == expected
        assert row[0, 3] == row[-1, 3] == 0


def test_people_who_touch_leave_no_seam_together(parsed: Parsed) -> None:
    assert cut(parsed, None)[75, 40:150, 3].min() == 255
    assert 100 < cut(parsed, 1)[75, 94, 3] + cut(parsed, 1)[75, 93, 3] < 400


def test_the_pixels_are_those_of_the_image_and_nothing_is_hidden_below(parsed: Parsed) -> None:
    picture = cut(parsed, 1, scale=3)
    seen = picture[..., 3] > 0
    assert (picture[seen, :3] == GREY).all()
    assert not picture[~seen].any()
    assert 0.26 < seen.mean() < 0.28  # 64 x 50 of 96 x 128, and the edge
    edge = (picture[..., 3] > 0) & (picture[..., 3] < 255)
    assert 0 < edge.mean() < 0.02


def test_somebody_who_is_not_there_is_named(parsed: Parsed) -> None:
    with pytest.raises(Problem, match="person=3 is not in the image: the ids are 1, 2"):
        cutout(Image.new("RGB", (200, 150)), parsed, 3)


def test_over_http(client: httpx.Client, png: bytes, rgb: np.ndarray) -> None:
    def post(data: bytes, accept: str = "*/*", **params: str) -> httpx.Response:
        headers = {"Content-Type": "image/png", "Accept": accept}
        return client.post("/parse", content=data, headers=headers, params={"layer": "cutout", **params})

    both = Image.open(io.BytesIO(post(png).content))
    assert (both.format, both.mode, both.size) == ("PNG", "RGBA", rgb.shape[1::-1])
    pixels = np.asarray(both)
    solid = pixels[..., 3] == 255
    np.testing.assert_array_equal(pixels[solid, :3], rgb[solid])
    blue = np.asarray(Image.open(io.BytesIO(post(png, person="2").content)))
    assert blue[60, 170, 3] == 255
    assert not blue[:, :100].any()
    webp = Image.open(io.BytesIO(post(png, accept="image/webp").content))
    assert (webp.format, webp.mode) == ("WEBP", "RGBA")
    check(post(png, person="9"), 422, "invalid-parameter", "person=9 is not in the image: the ids are 1, 2")
    nobody = encode(Image.new("RGB", (50, 30)), "PNG")
    check(post(nobody, person="1"), 422, "invalid-parameter", "nobody was found")
    assert not np.asarray(Image.open(io.BytesIO(post(nobody).content))).any()
    check(post(png, accept="image/jpeg"), 406, "not-acceptable", "image/png, image/webp")
