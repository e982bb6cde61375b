from __future__ import annotations

import pytest

from service.http.negotiation import negotiate
from service.problems import Problem
from service.responses.encoding import Layer


@pytest.mark.parametrize(
    ("accept", "layer", "expected"),
    [
        ("*/*", None, ("application/json", None)),
        ("", None, None),
        ("application/json", None, ("application/json", None)),
        ("image/png", None, ("image/png", "parts")),
        ("image/*", None, ("image/png", "parts")),
        ("image/webp", None, ("image/webp", "overlay")),
        ("text/html, image/webp;q=0.8, image/jpeg;q=0.9", None, ("image/jpeg", "overlay")),
        ("application/json;q=0.1, image/png;q=0.2", None, ("image/png", "parts")),
        ("*/*", "people", ("image/png", "people")),
        ("*/*", "overlay", ("image/jpeg", "overlay")),
        ("image/webp, */*;q=0.1", "overlay", ("image/webp", "overlay")),
        ("IMAGE/PNG; Q=1", "panoptic", ("image/png", "panoptic")),
        ("image/png;q=0, image/*", None, ("image/jpeg", "overlay")),
        ("image/jpeg", "people", None),
        ("*/*", "cutout", ("image/png", "cutout")),
        ("image/webp", "cutout", ("image/webp", "cutout")),
        ("video/mp4", None, None),
    ],
)
def test_negotiate(accept: str, layer: Layer | None, expected: tuple[str, str | None] | None) -> None:
    if expected is None:
        with pytest.raises(Problem) as info:
            negotiate(accept, layer)
        assert info.value.status == 406
    else:
        assert negotiate(accept, layer) == expected
