"""Draw labels and predictions on images. RGB uint8 arrays in and out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.colors import person_color
from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.samples import Float32, UInt8

UNKNOWN = (255, 0, 255)  # ignored pixels


def draw_people(
    image: UInt8,
    part_map: UInt8,
    person_map: UInt8,
    keypoints: Float32,
    taxonomy: Taxonomy,
    opacity: float = 0.55,
    line: int = 2,
) -> UInt8:
    """Draw parts in the taxonomy's palette over `image` [H, W, 3], with an outline and a skeleton per person.

    `keypoints` [n, K, 3] are x, y in pixels and a score or visibility: above 0 is drawn. Unknown pixels are magenta.
    `line` is the width of a limb in pixels, twice that of an outline.
    """
    colors = np.zeros((256, 3), np.float32)
    colors[1 : len(taxonomy.palette) + 1] = taxonomy.palette
    colors[IGNORE] = UNKNOWN
    share = opacity * (part_map != BACKGROUND)[..., None]  # [H, W, 1]
    canvas = (image * (1 - share) + colors[part_map] * share).astype(np.uint8)  # [H, W, 3]
    outline = _outline(person_map, line // 2)
    canvas[outline] = person_colors()[person_map[outline]]
    return _draw_skeletons(canvas, keypoints, taxonomy, line)


def image_grid(images: Sequence[UInt8], columns: int) -> UInt8:
    """Arrange images of any sizes in a grid, row by row, `columns` per row, on black."""
    if not images:
        raise ValueError("an image grid needs at least one image")
    gap = 2
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = -(-len(images) // columns)
    grid = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        grid[y : y + image.shape[0], x : x + image.shape[1]] = image
    return grid


def person_colors() -> UInt8:
    """Return the color of person i, uint8 [256, 3]."""
    return np.array([person_color(i) for i in range(256)], np.uint8)


def _outline(people: UInt8, width: int) -> NDArray[np.bool_]:
    """Return the pixels of a person [H, W] with another person, or none, up to `width` pixels across or down."""
    edge = np.zeros(people.shape, bool)
    for d in range(1, width + 1):
        across, down = people[:, :-d] != people[:, d:], people[:-d] != people[d:]
        edge[:, :-d] |= across
        edge[:, d:] |= across
        edge[:-d] |= down
        edge[d:] |= down
    return edge & (people != BACKGROUND) & (people != IGNORE)


def _draw_skeletons(canvas: UInt8, keypoints: Float32, taxonomy: Taxonomy, width: int) -> UInt8:
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    colors = person_colors()
    for person, joints in enumerate(keypoints, start=1):
        color = tuple(int(c) for c in colors[person])
        for a, b in taxonomy.tree_limbs:
            if joints[a, 2] > 0 and joints[b, 2] > 0:
                line = [tuple(joints[a, :2].tolist()), tuple(joints[b, :2].tolist())]
                draw.line(line, fill=(0, 0, 0), width=2 * width)  # a dark edge keeps light lines visible on light cloth
                draw.line(line, fill=color, width=width)
        for x, y, found in joints.tolist():
            if found > 0:
                draw.ellipse((x - width, y - width, x + width, y + width), fill=color, outline=(0, 0, 0))
    return np.array(picture)
