"""Image grid of labelled images and their training targets, with titles and a legend: one row per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.config import STRIDE, DecoderConfig
from model.taxonomy import BACKGROUND, IGNORE, RGB, Taxonomy
from training.data.samples import Float32, Sample, UInt8
from training.transforms.augment import letterbox
from training.transforms.targets import Targets, encode
from training.visualization.drawing import UNKNOWN, draw_people, person_colors

COLUMNS = (
    "image, outlines, joints",
    "parts",
    "people",
    "heatmaps of joints",
    "limbs",
    "projection field: to the nearest joint",
)
TILE = 352, 416  # largest width and height of a tile
GAP, LINE = 8, 22  # between tiles; height of a line of text
FINE = 2  # supersampling factor of arrows and dots
ARROWS = 43  # along the longer side of a tile
INK, QUIET, PAPER = (235, 235, 235), (150, 150, 150), (24, 24, 28)
LEFT, RIGHT, MIDDLE = (255, 150, 40), (60, 190, 255), (255, 255, 255)
DIM = 0.35  # brightness of an image under maps


class Row(NamedTuple):
    """One image of the grid, or one canvas of it."""

    caption: str
    sample: Sample


def draw_target_grid(rows: Sequence[Row], taxonomy: Taxonomy, config: DecoderConfig, title: str) -> Image.Image:
    """Draw `title`, a row of tiles per image with the columns of `COLUMNS`, and the legend below.

    Raises ValueError for no row, and for a sample whose sides are not multiples of the stride (see `fit`).
    """
    if not rows:
        raise ValueError("a grid needs at least one image")
    drawn = [(row.caption, _pictures(row.sample, taxonomy, config)) for row in rows]
    width = GAP + len(COLUMNS) * (TILE[0] + GAP)
    legend = _legend(taxonomy, width - 2 * GAP)
    heights = [LINE + pictures[0].shape[0] + GAP for _, pictures in drawn]
    grid = Image.new("RGB", (width, 2 * LINE + 2 * GAP + sum(heights) + legend.height + GAP), PAPER)
    draw = ImageDraw.Draw(grid)
    draw.text((GAP, GAP), title, INK, _font(17))
    y = GAP + LINE + GAP
    for column, name in enumerate(COLUMNS):
        draw.text((GAP + column * (TILE[0] + GAP), y), name, INK, _font(15))
    y += LINE
    for (caption, pictures), height in zip(drawn, heights, strict=True):
        draw.text((GAP, y + 2), caption, QUIET, _font(13))
        for column, picture in enumerate(pictures):
            grid.paste(Image.fromarray(picture), (GAP + column * (TILE[0] + GAP), y + LINE))
        y += height
    grid.paste(legend, (GAP, y))
    return grid


def fit(sample: Sample, width: int, height: int) -> Sample:
    """Resize `sample` to the largest size of whole cells that fits into `width` x `height`."""
    scale = min(width / sample.size[1], height / sample.size[0])
    size = [max(round(length * scale) // STRIDE, 1) * STRIDE for length in sample.size]
    return letterbox(sample, (size[0], size[1]))[0]


def _pictures(canvas: Sample, taxonomy: Taxonomy, config: DecoderConfig) -> list[UInt8]:
    """Draw the tiles of `COLUMNS`, each [H, W, 3]."""
    targets = encode(canvas, taxonomy, config)
    sample = fit(canvas, *TILE)
    nobody = np.zeros((0, *sample.keypoints.shape[1:]), np.float32)
    blank = np.zeros(sample.size, np.uint8)
    dim = _dim(sample.image)
    joint_colors = [_side_color(name) for name in taxonomy.joint_names]
    # A limb has the side of its outer joint; limbs across the body have none.
    ends = [(taxonomy.joint_names[a], taxonomy.joint_names[b]) for a, b in taxonomy.limbs]
    limb_colors = [MIDDLE if {_side_color(a), _side_color(b)} == {LEFT, RIGHT} else _side_color(b) for a, b in ends]
    outlined = draw_people(sample.image, blank, sample.people, sample.keypoints, taxonomy)
    limbs = targets.limbs.astype(np.float32)
    return [
        _dots(outlined, sample.keypoints, joint_colors),
        draw_people(dim, sample.parts, blank, nobody, taxonomy, opacity=0.9),
        _people(dim, sample.people),
        _classes(dim, targets.heatmap * np.float32(0.4), targets.heatmap_weight, joint_colors),
        _classes(dim, limbs, targets.limb_weight, limb_colors),
        _arrows(dim, canvas.people, targets),
    ]


def _dim(image: UInt8) -> UInt8:
    grey = image.mean(axis=2, keepdims=True).repeat(3, axis=2)
    return (grey * DIM).astype(np.uint8)


def _people(dim: UInt8, people: UInt8) -> UInt8:
    """Draw people in their colors and with their numbers."""
    colors = person_colors().astype(np.float32)
    colors[IGNORE] = UNKNOWN
    share = 0.75 * (people != BACKGROUND)[..., None]
    picture = Image.fromarray((dim * (1 - share) + colors[people] * share).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for person in np.setdiff1d(people, (BACKGROUND, IGNORE)).tolist():
        ys, xs = np.nonzero(people == person)
        middle = len(ys) // 2  # a pixel of the person, about half way down
        draw.text((int(xs[middle]), int(ys[middle])), str(person), (0, 0, 0), _font(14), "mm", stroke_width=2,
                  stroke_fill=(255, 255, 255))  # fmt: skip
    return np.array(picture)


def _classes(dim: UInt8, values: Float32, weight: UInt8, colors: Sequence[tuple[int, int, int]]) -> UInt8:
    """Draw maps [C, h, w] in [0, 1] over the image, each in its color; magenta by the share of unknown classes."""
    unknown = (weight == 0).mean(axis=0)[..., None] * 0.5  # [h, w, 1]
    paint, left = unknown * np.array(UNKNOWN), 1 - unknown  # color, and transmittance of the layers above the image
    for value, color in zip(values[..., None], colors, strict=True):
        paint = paint * (1 - value) + np.array(color) * value  # [h, w, 3]
        left = left * (1 - value)
    size = dim.shape[1], dim.shape[0]
    over = Image.fromarray(paint.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    under = Image.fromarray((left[..., 0] * 255).astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(over) + (dim * (np.asarray(under)[..., None] / 255)).astype(np.uint8)


def _dots(picture: UInt8, keypoints: Float32, colors: Sequence[tuple[int, int, int]]) -> UInt8:
    """Draw joints in the color of their side, hollow if they are occluded."""
    large = _enlarge(picture)
    draw = ImageDraw.Draw(large)
    for joints in keypoints.tolist():
        for (x, y, v), color in zip(joints, colors, strict=True):
            if v > 0:
                center = ((x + 0.5) * FINE, (y + 0.5) * FINE)
                draw.circle(center, 2.6 * FINE, fill=color if v == 2 else PAPER, outline=PAPER if v == 2 else color,
                            width=FINE)  # fmt: skip
    return _reduce(large)


def _arrows(dim: UInt8, people: UInt8, targets: Targets) -> UInt8:
    """Draw the field at some cells, from the cell to its target, in the color of the person."""
    large = _enlarge(dim)
    draw = ImageDraw.Draw(large)
    colors = person_colors()
    owners = people[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]  # [h, w]
    field, known = targets.projection.astype(np.float32), targets.projection_weight  # [2, h, w], [h, w]
    cell = large.width / known.shape[1]  # pixels of `large`
    step = max(1, round(max(known.shape) / ARROWS))
    for row in range(step // 2, known.shape[0], step):
        for column in range(step // 2, known.shape[1], step):
            if known[row, column]:
                start = (np.array([column, row]) + 0.5) * cell
                end = start + field[:, row, column] * cell
                color = tuple(colors[owners[row, column]].tolist())
                draw.line([*start, *end], fill=color, width=FINE)
                draw.polygon(_head(start, end), fill=color)
                draw.circle(start.tolist(), FINE, fill=color)
    return _reduce(large)


def _head(start: np.ndarray, end: np.ndarray) -> list[tuple[float, float]]:
    """Return the triangle at the end of an arrow, no longer than the arrow."""
    length = max(float(np.hypot(*(end - start))), 1e-3)
    along = (end - start) / length * min(length, 5.0 * FINE)
    across = np.array([-along[1], along[0]]) * 0.4
    return [tuple(end), tuple(end - along + across), tuple(end - along - across)]


def _enlarge(picture: UInt8) -> Image.Image:
    return Image.fromarray(picture).resize(
        (picture.shape[1] * FINE, picture.shape[0] * FINE), Image.Resampling.BILINEAR
    )


def _reduce(large: Image.Image) -> UInt8:
    return np.asarray(large.reduce(FINE))


def _legend(taxonomy: Taxonomy, width: int) -> Image.Image:
    """Draw colors and their meaning."""
    entries = [*zip(taxonomy.part_names, taxonomy.palette, strict=True), ("unknown: teaches nothing", UNKNOWN)]
    entries += [("left joints and limbs", LEFT), ("right ones", RIGHT), ("middle, or across", MIDDLE)]
    note = "Left and right are the person's own. A hollow joint is hidden; a joint that is not drawn is not labelled."
    return draw_legend(entries, width, note)


def draw_legend(entries: Sequence[tuple[str, RGB]], width: int, note: str) -> Image.Image:
    """Draw names beside their colors, in as many columns as fit into `width` pixels, and a line of text."""
    cell = 28 + max(int(_font(14).getlength(name)) for name, _ in entries) + 2 * GAP
    columns = max(1, width // cell)
    rows = -(-len(entries) // columns)
    legend = Image.new("RGB", (width, (rows + 1) * LINE), PAPER)
    draw = ImageDraw.Draw(legend)
    for i, (name, color) in enumerate(entries):
        x, y = i % columns * cell, i // columns * LINE
        draw.rectangle((x, y + 3, x + 20, y + LINE - 5), fill=color)
        draw.text((x + 28, y + 1), name, INK, _font(14))
    draw.text((0, rows * LINE + 1), note, QUIET, _font(14))
    return legend


def _side_color(name: str) -> tuple[int, int, int]:
    return LEFT if name.startswith("left") else RIGHT if name.startswith("right") else MIDDLE


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
