"""Draws the overlay: parts in color, outlines, skeletons. To measure, use the label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from model.colors import person_color
from model.taxonomy import Taxonomy
from service.parsing.parser import Parsed
from service.responses.people import FOUND, keypoints_image

OPACITY = 0.55  # of a part's color over the image
SOFTNESS = 1.2  # canvas pixels, standard deviation: rounds the steps of the canvas off the contours
LINE = 1 / 480  # width of a limb, in longer sides of the picture; an outline is as wide
LINE_PERSON = 1 / 50  # but at most this share of the person: small ones would drown in lines
SUPERSAMPLING = 2  # limbs are drawn this much larger and shrunk, which smooths them


def overlay(image: Image.Image, parsed: Parsed, taxonomy: Taxonomy) -> Image.Image:
    """Draw all people on the upright image, at any scale; return a new image."""
    picture = image.convert("RGB").copy()
    area = _content(parsed)
    person_map = parsed.output.person_map[area]
    colors = np.array([(0, 0, 0), *taxonomy.palette], dtype=np.uint8)[parsed.output.part_map[area]]
    clear = np.where(person_map > 0, np.uint8(255), np.uint8(0))
    parts = Image.fromarray(np.dstack([colors, clear])).convert("RGBa")
    slots = np.flatnonzero(parsed.output.person_score > 0).tolist()
    for slot in reversed(slots):  # the surest last, on top
        _paint_person(picture, parts, person_map, slot + 1)
    for slot in reversed(slots):
        _paint_skeleton(picture, parsed, taxonomy, slot)
    return picture


def _content(parsed: Parsed) -> tuple[slice, slice]:
    """Return the image's area of the canvas: rows, columns."""
    box = parsed.letterbox
    return slice(box.offset_y, box.offset_y + box.height), slice(box.offset_x, box.offset_x + box.width)


def _paint_person(picture: Image.Image, parts: Image.Image, person_map: NDArray[np.uint8], id_: int) -> None:
    """Blend a person's parts and outline into the picture; `parts` has premultiplied alpha."""
    mask = person_map == id_
    if not mask.any():
        return
    (width, height), (rows, columns) = picture.size, mask.shape
    scale_x, scale_y = width / columns, height / rows
    margin = 3 * SOFTNESS
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, right = int(max(0, (x[0] - margin) * scale_x)), int(min(width, (x[-1] + 1 + margin) * scale_x))
    top, bottom = int(max(0, (y[0] - margin) * scale_y)), int(min(height, (y[-1] + 1 + margin) * scale_y))
    source = left / scale_x, top / scale_y, right / scale_x, bottom / scale_y
    size = right - left, bottom - top

    soft = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(SOFTNESS))
    level = np.asarray(soft.resize(size, Image.Resampling.BICUBIC, box=source), dtype=np.float32) / 255
    # Across a straight edge, the blurred mask rises by 1 / (sigma sqrt(2 pi)) a pixel: distances from its slope.
    inside = (level - 0.5) * np.float32(SOFTNESS * (scale_x + scale_y) / 2 * np.sqrt(2 * np.pi))  # [h, w] pixels
    color = parts.resize(size, Image.Resampling.BILINEAR, box=source).convert("RGBA").convert("RGB")
    picture.paste(color, (left, top), _alpha(OPACITY * np.clip(inside + 0.5, 0, 1)))
    half_line = _line_width(picture, max(size)) / 2
    outline = Image.new("RGB", size, person_color(id_))
    picture.paste(outline, (left, top), _alpha(np.clip(half_line + 0.5 - np.abs(inside), 0, 1)))


def _line_width(picture: Image.Image, extent: float) -> float:
    return max(1.0, min(max(picture.size) * LINE, extent * LINE_PERSON))


def _alpha(opacity: NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray((opacity * 255 + 0.5).astype(np.uint8))


def _paint_skeleton(picture: Image.Image, parsed: Parsed, taxonomy: Taxonomy, slot: int) -> None:
    """Draw limbs between found joints, with a dark rim that is visible on any ground."""
    scale_x, scale_y = picture.width / parsed.header.size_image[1], picture.height / parsed.header.size_image[0]
    points = {
        joint: ((k.x + 0.5) * scale_x, (k.y + 0.5) * scale_y)
        for joint, k in enumerate(keypoints_image(parsed, slot))
        if k.visibility == FOUND
    }
    if not points:
        return
    xs, ys = [x for x, _ in points.values()], [y for _, y in points.values()]
    line = _line_width(picture, max(max(xs) - min(xs), max(ys) - min(ys)))
    margin = 4 * line
    left, top = int(max(0, min(xs) - margin)), int(max(0, min(ys) - margin))
    size = int(min(picture.width, max(xs) + margin)) - left + 1, int(min(picture.height, max(ys) + margin)) - top + 1

    layer = Image.new("RGBa", (size[0] * SUPERSAMPLING, size[1] * SUPERSAMPLING))
    draw = ImageDraw.Draw(layer)
    drawn = {j: ((x - left) * SUPERSAMPLING, (y - top) * SUPERSAMPLING) for j, (x, y) in points.items()}
    limbs = [[drawn[a], drawn[b]] for a, b in taxonomy.tree_limbs if a in drawn and b in drawn]
    line *= SUPERSAMPLING
    for width, color in ((2 * line, (0, 0, 0)), (line, person_color(slot + 1))):
        for limb in limbs:
            draw.line(limb, fill=(*color, 255), width=round(width))
    for point in drawn.values():
        draw.circle(point, 1.6 * line, fill=(255, 255, 255, 255), outline=(0, 0, 0, 255), width=max(1, round(line / 2)))
    shrunk = layer.reduce(SUPERSAMPLING).convert("RGBA")
    picture.paste(shrunk, (left, top), shrunk)
