"""Chooses the form of the response from the Accept header and the parameters `layer` and `format`."""

from __future__ import annotations

from service.problems import Problem
from service.responses.encoding import Format, Layer, MediaType

MAPS: tuple[MediaType, ...] = ("image/png",)
PICTURES: tuple[MediaType, ...] = ("image/jpeg", "image/webp")
JSON: tuple[MediaType, ...] = ("application/json",)
OFFERS: dict[Layer | None, tuple[MediaType, ...]] = {
    None: (*JSON, *MAPS, *PICTURES),
    "parts": MAPS,
    "people": MAPS,
    "panoptic": MAPS,
    "overlay": PICTURES,
    "cutout": ("image/png", "image/webp"),
}


def negotiate(accept: str, layer: Layer | None, format_: Format | None = None) -> tuple[MediaType, Layer | None]:
    """Return the media type and layer of the response; the layer is None for JSON.

    Without a layer, image/png means `parts` and image/jpeg or image/webp `overlay`; a layer narrows the choice to its
    own types, a format to JSON. Of types the client likes equally, the first here is taken. Raises Problem
    "not-acceptable".
    """
    offers = OFFERS[layer] if format_ is None else JSON
    ranges = _ranges(accept)
    quality, best = max(((_quality(offer, ranges), offer) for offer in offers), key=lambda pair: pair[0])
    if quality <= 0:
        what = "a response" if layer is None else f"layer={layer}"
        what = what if format_ is None else f"format={format_}"
        raise Problem("not-acceptable", f"{what} is available as {', '.join(offers)}; Accept was {accept!r}")
    if best == "application/json":
        return best, None
    return best, layer or ("overlay" if best in PICTURES else "parts")


def _ranges(accept: str) -> list[tuple[str, float]]:
    """Parse media ranges and their quality; an unreadable quality counts as 0."""
    ranges = []
    for item in accept.split(","):
        media_range, *parameters = (piece.strip().lower() for piece in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == "q":
                try:
                    quality = float(value)
                except ValueError:
                    quality = 0.0
        ranges.append((media_range, quality))
    return ranges


def _quality(offer: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that matches (RFC 9110, section 12.5.1)."""
    qualities = dict(ranges)
    for media_range in (offer, offer.split("/")[0] + "/*", "*/*"):
        if media_range in qualities:
            return qualities[media_range]
    return 0.0
