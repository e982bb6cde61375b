"""Draws the overlay: parts in color, outlines, skeletons. To measure, use the label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from model.colors import person_color
from model.id_runs import PART_MASK, PERSON_SHIFT, Ids
from model.taxonomy import Taxonomy
from service.parsing.parser import Parsed
from service.responses.masks import Box, encode
from service.responses.people import FOUND, keypoints_image

OPACITY = 0.55  # of a part's color over the image
LINE = 1 / 480  # width of a limb, in longer sides of the picture; an outline is as wide
LINE_PERSON = 1 / 50  # but at most this share of the person: small ones would drown in lines
SUPERSAMPLING = 2  # limbs are drawn this much larger and shrunk, which smooths them


def overlay(image: Image.Image, parsed: Parsed, taxonomy: Taxonomy) -> Image.Image:
    """Draw all people on the upright image, at any scale; return a new image."""
    picture = image.convert("RGB").copy()
    runs = parsed.id_runs((picture.height, picture.width))
    ids, boxes = runs.painted(), {id_: mask.box for id_, mask in encode(runs.people()).items()}
    slots = np.flatnonzero(parsed.output.person_score > 0).tolist()
    for slot in reversed(slots):  # the surest last, on top
        if slot + 1 in boxes:
            _paint_person(picture, ids, slot + 1, boxes[slot + 1], taxonomy)
    for slot in reversed(slots):
        _paint_skeleton(picture, parsed, taxonomy, slot)
    return picture


def _paint_person(picture: Image.Image, ids: Ids, id_: int, box: Box, taxonomy: Taxonomy) -> None:
    """Blend a person's parts and outline into the picture; `ids` are its pixels'."""
    half_line = _line_width(picture, max(box[2:])) / 2
    softness = half_line + 1  # far from the contour the distance is then estimated to be beyond the line
    margin = round(2 * softness)
    left, top = max(0, box[0] - margin), max(0, box[1] - margin)
    area = ids[top : box[1] + box[3] + margin, left : box[0] + box[2] + margin]
    mask = area >> PERSON_SHIFT == id_
    colors = np.array([(0, 0, 0), *taxonomy.palette], dtype=np.uint8)[area & PART_MASK]
    picture.paste(Image.fromarray(colors), (left, top), _alpha(np.where(mask, OPACITY, 0)))

    soft = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(softness))
    level = np.asarray(soft, dtype=np.float32) / 255
    # Across a straight edge, the blurred mask rises by 1 / (sigma sqrt(2 pi)) a pixel: distances from its slope.
    inside = (level - 0.5) * np.float32(softness * np.sqrt(2 * np.pi))  # [h, w] pixels
    outline = Image.new("RGB", soft.size, person_color(id_))
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
