"""The answer as pictures: exact label maps as PNG, and an overlay to look at."""

from __future__ import annotations

import colorsys
import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.taxonomy import RGB, Taxonomy
from service.masks import PERSON_SHIFT, IdGrid
from service.parser import Parsed
from service.people import keypoints_image

MAX_PEOPLE_COLORS = 255
OPACITY = 0.55  # of a part's colour over the photo
OUTLINE_OPACITY = 0.95
SUPERSAMPLING = 2  # lines are drawn this much larger and shrunk, which smooths them


def person_color(id_: int) -> RGB:
    """A colour for a person's id (1, 2, ...): golden-ratio hues, far apart for neighbours."""
    r, g, b = colorsys.hsv_to_rgb(0.58 + id_ * 0.618034, 0.7, 1.0)
    return round(r * 255), round(g * 255), round(b * 255)


def parts_png(grid: IdGrid, taxonomy: Taxonomy) -> bytes:
    """Indexed PNG whose pixel value is the part's category id, 0 for background."""
    return _indexed_png(grid.enlarged() & (2**PERSON_SHIFT - 1), taxonomy.palette)


def people_png(grid: IdGrid) -> bytes:
    """Indexed PNG whose pixel value is the person's id, 0 for nobody."""
    palette = tuple(person_color(i) for i in range(1, MAX_PEOPLE_COLORS + 1))
    return _indexed_png(grid.people().enlarged(), palette)


def panoptic_png(grid: IdGrid) -> bytes:
    """RGB PNG after COCO's panoptic encoding, id = R + 256 G: R is the part's category id, G the person's id."""
    ids = grid.enlarged()
    rgb = np.zeros((*ids.shape, 3), dtype=np.uint8)
    rgb[..., 0], rgb[..., 1] = ids & (2**PERSON_SHIFT - 1), ids >> PERSON_SHIFT
    return _png(Image.fromarray(rgb))


def overlay(photo: Image.Image, parsed: Parsed, taxonomy: Taxonomy) -> Image.Image:
    """The photo with coloured parts, an outline around each person and skeletons.

    `photo` is the upright photo at any scale. Part contours are smoothed for the eye: use the PNG layers to measure.
    """
    size = photo.size
    picture = photo.convert("RGB")
    _paste(picture, _part_layer(parsed, taxonomy).resize(size, Image.Resampling.BICUBIC))
    _paste(picture, _outline_layer(parsed).resize(size, Image.Resampling.BICUBIC))
    large = size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING
    _paste(picture, _skeleton_layer(parsed, taxonomy, large).reduce(SUPERSAMPLING))
    return picture


def encoded(picture: Image.Image, media_type: Literal["image/jpeg", "image/webp"]) -> bytes:
    """A picture to look at as a file."""
    file = io.BytesIO()
    if media_type == "image/jpeg":
        picture.save(file, "JPEG", quality=90)
    else:
        picture.save(file, "WEBP", quality=85, method=2)
    return file.getvalue()


def _indexed_png(ids: NDArray[np.uint16], palette: tuple[RGB, ...]) -> bytes:
    image = Image.fromarray(ids.astype(np.uint8), mode="P")
    image.putpalette([0, 0, 0, *(value for rgb in palette for value in rgb)])
    return _png(image)


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)  # label maps shrink well at any level; this one is five times faster
    return file.getvalue()


def _paste(picture: Image.Image, layer: Image.Image) -> None:
    """Lay a layer with premultiplied alpha (mode RGBa) over the picture."""
    rgba = layer.convert("RGBA")
    picture.paste(rgba, mask=rgba)


def _content(parsed: Parsed) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Part and person map of the photo's area of the canvas."""
    box = parsed.letterbox
    area = slice(box.offset_y, box.offset_y + box.height), slice(box.offset_x, box.offset_x + box.width)
    return parsed.output.part_map[area], parsed.output.person_map[area]


def _premultiplied(rgb: NDArray[np.uint8], alpha: NDArray[np.float32]) -> Image.Image:
    """Interpolating premultiplied colours leaves no dark rim where a colour fades out."""
    values = np.concatenate([rgb * alpha[..., None], 255 * alpha[..., None]], axis=-1)
    height, width = alpha.shape
    return Image.frombytes("RGBa", (width, height), (values + 0.5).astype(np.uint8).tobytes())


def _part_layer(parsed: Parsed, taxonomy: Taxonomy) -> Image.Image:
    part_map, _ = _content(parsed)
    colors = np.array([(0, 0, 0), *taxonomy.palette], dtype=np.uint8)[part_map]
    return _premultiplied(colors, np.where(part_map > 0, OPACITY, 0).astype(np.float32))


def _outline_layer(parsed: Parsed) -> Image.Image:
    """Pixels of a person beside a pixel of nobody or of somebody else, in the person's colour."""
    _, person_map = _content(parsed)
    padded = np.pad(person_map, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    border = (person_map > 0) & np.logical_or.reduce([n != person_map for n in neighbours])
    colors = np.array([(0, 0, 0), *(person_color(i) for i in range(1, 256))], dtype=np.uint8)[person_map]
    return _premultiplied(colors, np.where(border, OUTLINE_OPACITY, 0).astype(np.float32))


def _skeleton_layer(parsed: Parsed, taxonomy: Taxonomy, size: tuple[int, int]) -> Image.Image:
    """Limbs between found joints, with a dark rim that shows them on any ground; `size` is (width, height)."""
    layer = Image.new("RGBa", size)
    draw = ImageDraw.Draw(layer)
    scale_x, scale_y = size[0] / parsed.header.size_image[1], size[1] / parsed.header.size_image[0]
    width = max(2, round(max(size) / 500))
    for slot in np.flatnonzero(parsed.output.person_score > 0).tolist():
        points = [
            ((k.x + 0.5) * scale_x, (k.y + 0.5) * scale_y) if k.score > 0 else None
            for k in keypoints_image(parsed, slot)
        ]
        limbs = [(points[a], points[b]) for a, b in taxonomy.tree_limbs]
        for line_width, color in ((width * 2, (0, 0, 0, 255)), (width, (*person_color(slot + 1), 255))):
            for a, b in limbs:
                if a is not None and b is not None:
                    draw.line([a, b], fill=color, width=line_width)
        for point in points:
            if point is not None:
                draw.circle(point, width * 1.7, fill=(255, 255, 255, 255), outline=(0, 0, 0, 255), width=width // 2)
    return layer
