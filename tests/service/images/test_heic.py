"""HEIC where it can be read, and the remedy where not."""

from __future__ import annotations

from pathlib import Path

import httpx
import numpy as np
import pytest

from service.images import header
from service.images.decoding import decode
from service.images.header import ImageError, read_header
from tests.service.http.test_errors import check

FIGURES = (Path(__file__).parent / "figures.heic").read_bytes()  # the image of tests/service/conftest.py
TURNED = (Path(__file__).parent / "figures_turned.heic").read_bytes()  # stored sideways
LIMIT = 10**6


@pytest.fixture
def without_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "READS_HEIC", False)
    monkeypatch.setattr(header, "FORMATS", tuple(f for f in header.FORMATS if f != "HEIF"))


@pytest.mark.parametrize("data", [FIGURES, TURNED])
def test_it_is_read_upright(data: bytes, rgb: np.ndarray) -> None:
    pytest.importorskip("pi_heif")
    found = read_header(data, LIMIT)
    assert (found.format, found.size_image) == ("HEIF", rgb.shape[:2])
    decoded = np.asarray(decode(data, found, at_least=found.size_image).image.convert("RGB")).astype(int)
    assert np.abs(decoded - rgb).max() < 40
    assert np.abs(decoded - rgb).mean() < 2


def test_it_is_answered(client: httpx.Client, png: bytes) -> None:
    pytest.importorskip("pi_heif")
    answers = [
        client.post("/parse", content=data, headers={"Content-Type": type_}).json()["people"]
        for data, type_ in ((FIGURES, "image/heic"), (png, "image/png"))
    ]
    for heic, exact in zip(*answers, strict=True):
        assert np.abs(np.array(heic["bbox"]) - exact["bbox"]).max() <= 2


@pytest.mark.parametrize("kept", [24, 200, 1000, len(FIGURES) - 10])
def test_a_damaged_one_is_told(client: httpx.Client, kept: int) -> None:
    pytest.importorskip("pi_heif")
    response = client.post("/parse", content=FIGURES[:kept], headers={"Content-Type": "image/heic"})
    check(response, 400, "broken-image", "damaged")


def test_pixels_are_counted_before_decoding() -> None:
    pytest.importorskip("pi_heif")
    with pytest.raises(ImageError, match="240 x 120 pixels; at most 100"):
        read_header(FIGURES, 100)


@pytest.mark.usefixtures("without_reader")
def test_without_the_package_the_remedy_is_told(client: httpx.Client) -> None:
    response = client.post("/parse", content=FIGURES, headers={"Content-Type": "image/heic"})
    check(response, 415, "unsupported-format", "pip install 'humanparse[heif]'")
