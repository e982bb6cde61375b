"""Base64 as it is found in the wild, and what cannot be told apart."""

from __future__ import annotations

import base64

import numpy as np
import pytest

from service.http.base64_text import decode_base64

DATA = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8).tobytes()
TEXT = base64.b64encode(DATA).decode()
PLUS = bytes([0xFB, 0xEF, 0xBE]) * 3  # nothing but "+" and "++" in base64


@pytest.mark.parametrize("size", range(995, 1001))
@pytest.mark.parametrize(
    "write",
    [
        lambda d: base64.b64encode(d).decode(),
        lambda d: base64.encodebytes(d).decode(),
        lambda d: base64.encodebytes(d).decode().replace("\n", "\r\n"),
        lambda d: base64.urlsafe_b64encode(d).decode(),
        lambda d: base64.urlsafe_b64encode(d).decode().rstrip("="),
        lambda d: "data:image/png;base64," + base64.b64encode(d).decode(),
        lambda d: "DATA:image/PNG;charset=utf-8;BASE64," + base64.encodebytes(d).decode(),
        lambda d: f"  {base64.b64encode(d).decode()} \n",
        lambda d: base64.encodebytes(d).decode().replace("\n", " "),
    ],
)
def test_every_way_to_write_the_same_bytes(write: object, size: int) -> None:
    assert decode_base64(write(DATA[:size])) == DATA[:size]


def test_pluses_that_became_spaces_are_found_by_the_length() -> None:
    seen = 0
    for size in range(900, 1000):
        spaced = base64.b64encode(DATA[:size]).decode().replace("+", " ")
        if size % 3 and spaced.count(" ") % 4:  # padded, and no multiple of 4 without the spaces
            assert decode_base64(spaced) == DATA[:size]
            seen += 1
    assert seen > 20


def test_spaces_that_may_be_either_are_refused() -> None:
    with pytest.raises(ValueError, match=r"character ' ' at position 2 may be a separator or a '\+'"):
        decode_base64("QU JD QU JD AB")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{TEXT[:8]}*{TEXT[8:]}", r"character '\*' at position 8 is not base64"),
        (f"{TEXT[:4]}={TEXT[4:]}", "character '=' at position 4 is not base64"),
        (f"data:image/png;base64,{TEXT[:4]}\u00e9", "character 'é' at position 4"),
        ("data:image/png,abc", "the data: URL is not ;base64"),
        ("QUJDR", "5 characters and 0 of padding are no whole bytes"),
        ("QUI=QUI=", "character '=' at position 3"),
        ("QQ=", "2 characters and 1 of padding"),
        ("Q===", "1 characters and 3 of padding"),
    ],
)
def test_what_is_wrong_is_told(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decode_base64(text)


def test_pluses_alone_are_base64() -> None:
    assert decode_base64(base64.b64encode(PLUS).decode()) == PLUS
