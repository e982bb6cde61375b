"""Pictures of labels and predictions, for a person to judge. RGB uint8 arrays in and out."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.config import STRIDE
from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.samples import Float32, Sample, UInt8
from training.targets import Targets, TrainingSet, encode

UNKNOWN = (255, 0, 255)  # ignored pixels
GOLDEN = 0.618034  # turn of the hue from one person to the next: neighbours differ, however many there are


def draw_people(
    image: UInt8,
    part_map: UInt8,
    person_map: UInt8,
    keypoints: Float32,
    taxonomy: Taxonomy,
    opacity: float = 0.55,
) -> UInt8:
    """Parts in the taxonomy's palette over `image` [H, W, 3], an outline and a skeleton for each person.

    `keypoints` [n, K, 3] are x, y in pixels and a score or visibility: above 0 is drawn. Unknown pixels are magenta.
    """
    colours = np.zeros((256, 3), np.float32)
    colours[1 : len(taxonomy.palette) + 1] = taxonomy.palette
    colours[IGNORE] = UNKNOWN
    share = opacity * (part_map != BACKGROUND)[..., None]  # [H, W, 1]
    canvas = (image * (1 - share) + colours[part_map] * share).astype(np.uint8)  # [H, W, 3]
    outline = _outline(person_map)
    canvas[outline] = _person_colours()[person_map[outline]]
    return _draw_skeletons(canvas, keypoints, taxonomy)


def draw_maps(sample: Sample, targets: Targets, taxonomy: Taxonomy) -> UInt8:
    """What a canvas teaches, side by side [H, 6 W, 3].

    From the left: people, parts, the mean heatmap, offsets, projection field, limbs. Vectors are shown
    as hue (direction) and brightness (length); cells without a known label are magenta.
    """
    size = sample.size
    nobody = np.zeros((0, *sample.keypoints.shape[1:]), np.float32)
    people = draw_people(sample.image, np.zeros(size, np.uint8), sample.people, sample.keypoints, taxonomy)
    parts = draw_people(sample.image, sample.parts, sample.people, nobody, taxonomy, opacity=1.0)
    heat = _tint(targets.heatmap.mean(axis=0, dtype=np.float32) ** 0.5, (targets.heatmap_weight == 0).mean(axis=0))
    offsets = targets.offsets.astype(np.float32)  # [K, 2, h, w]
    nearest = np.where(targets.heatmap > 0, (offsets**2).sum(axis=1), np.inf).argmin(axis=0)  # [h, w]
    shown = np.take_along_axis(offsets, nearest[None, None], axis=0)[0] * targets.heatmap.any(axis=0)
    projection = _flow(targets.projection.astype(np.float32))
    limbs = _tint(targets.limbs.max(axis=0).astype(np.float32), (targets.limb_weight == 0).mean(axis=0))
    cells = [heat, _flow(shown), projection, limbs]
    return np.concatenate([people, parts, *(cell.repeat(STRIDE, 0).repeat(STRIDE, 1) for cell in cells)], axis=1)


def draw_training_set(data: TrainingSet, indices: Sequence[int], epoch: int = 0) -> UInt8:
    """A sheet of photos as this epoch shows them to the network, one a row with all of its maps."""
    taxonomy, config = data.photos.taxonomy, data.config.decoder
    samples = [data.epoch(epoch).canvas(i) for i in indices]
    return contact_sheet([draw_maps(s, encode(s, taxonomy, config), taxonomy) for s in samples], columns=1)


def contact_sheet(images: Sequence[UInt8], columns: int) -> UInt8:
    """Pictures of any sizes in a grid, row by row, `columns` a row, on black."""
    if not images:
        raise ValueError("a contact sheet needs at least one picture")
    gap = 2
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * (height + gap), i % columns * (width + gap)
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    return sheet


def _outline(people: UInt8) -> NDArray[np.bool_]:
    """Pixels of a person [H, W] with somebody else, or nobody, to the right or below."""
    edge = np.zeros(people.shape, bool)
    edge[:, :-1] |= people[:, :-1] != people[:, 1:]
    edge[:-1] |= people[:-1] != people[1:]
    return edge & (people != BACKGROUND) & (people != IGNORE)


def _person_colours() -> UInt8:
    """[256, 3]: the colour of person i."""
    return np.array(
        [[round(255 * c) for c in colorsys.hsv_to_rgb((i - 1) * GOLDEN % 1, 0.6, 1)] for i in range(256)], np.uint8
    )


def _draw_skeletons(canvas: UInt8, keypoints: Float32, taxonomy: Taxonomy) -> UInt8:
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    colours = _person_colours()
    for person, joints in enumerate(keypoints, start=1):
        colour = tuple(int(c) for c in colours[person])
        for a, b in taxonomy.tree_limbs:
            if joints[a, 2] > 0 and joints[b, 2] > 0:
                line = [tuple(joints[a, :2].tolist()), tuple(joints[b, :2].tolist())]
                draw.line(line, fill=(0, 0, 0), width=4)  # a dark edge keeps light lines visible on light cloth
                draw.line(line, fill=colour, width=2)
        for x, y, found in joints.tolist():
            if found > 0:
                draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=colour, outline=(0, 0, 0))
    return np.array(picture)


def _tint(value: Float32, unknown: NDArray[np.floating]) -> UInt8:
    """Grey for `value` [h, w] in [0, 1], blended to magenta by the share of classes that are unknown there."""
    share = unknown[..., None]
    return (value[..., None] * 255 * (1 - share) + np.array(UNKNOWN) * share * 0.6).astype(np.uint8)


def _flow(field: Float32) -> UInt8:
    """[2, h, w] vectors in cells as colours: hue is the direction, brightness the length up to eight cells."""
    angle = np.arctan2(field[1], field[0]) / (2 * np.pi) % 1  # [h, w] in turns
    length = np.clip(np.hypot(field[0], field[1]) / 8, 0, 1) ** 0.5
    # HSV to RGB for saturation 1: three triangle waves a third of a turn apart.
    waves = np.clip(np.abs((angle[..., None] - np.array([0, 1, 2]) / 3 + 0.5) % 1 - 0.5) * -6 + 2, 0, 1)
    return (waves * length[..., None] * 255).astype(np.uint8)
