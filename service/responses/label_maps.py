"""Encodes responses as image files: exact label maps, overlays and cut-outs."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.colors import person_color
from model.id_runs import PART_MASK, PERSON_SHIFT, IdRuns
from model.taxonomy import RGB, Taxonomy
from service.images.stamp import stamp

MAX_PEOPLE_COLORS = 255
ImageType = Literal["image/jpeg", "image/png", "image/webp"]


def parts_png(runs: IdRuns, taxonomy: Taxonomy) -> bytes:
    """Encode an indexed PNG whose pixel value is the part's category id, 0 for background."""
    return _indexed_png(runs.painted() & PART_MASK, taxonomy.palette)


def people_png(runs: IdRuns) -> bytes:
    """Encode an indexed PNG whose pixel value is the person's id, 0 for nobody."""
    palette = tuple(person_color(i) for i in range(1, MAX_PEOPLE_COLORS + 1))
    return _indexed_png(runs.people().painted(), palette)


def panoptic_png(runs: IdRuns) -> bytes:
    """Encode an RGB PNG after COCO's panoptic format, id = R + 256 G: R is the part's id, G the person's."""
    ids = runs.painted()
    rgb = np.zeros((*ids.shape, 3), dtype=np.uint8)
    rgb[..., 0], rgb[..., 1] = ids & PART_MASK, ids >> PERSON_SHIFT
    return encoded(Image.fromarray(rgb), "image/png")


def encoded(picture: Image.Image, media_type: ImageType, webp_quality: int = 85) -> bytes:
    """Encode a picture as a file; PNG is exact."""
    file = io.BytesIO()
    if media_type == "image/jpeg":
        picture.save(file, "JPEG", quality=90, exif=stamp())
    elif media_type == "image/webp":
        picture.save(file, "WEBP", quality=webp_quality, method=2, exif=stamp())
    else:
        # Label maps shrink well at any level; this one is five times faster.
        picture.save(file, "PNG", compress_level=1, exif=stamp())
    return file.getvalue()


def _indexed_png(ids: NDArray[np.uint16], palette: tuple[RGB, ...]) -> bytes:
    image = Image.fromarray(ids.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, *(value for rgb in palette for value in rgb)])
    return encoded(image, "image/png")
