"""Synthetic scenes with exactly n people and matching labels: one person, cropped from an image and tiled.

The labels are the parser's own: its largest detection is cropped, with the parts and joints found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from model.errors import InputError
from model.manifest import Size
from model.taxonomy import Taxonomy
from training.data.datasets.base import read_image
from training.data.samples import Bool, Float32, Sample, UInt8, mask_boxes
from training.inference.predictions import parse_image
from training.inference.predictors import Parse

SIZE: Size = (1080, 1920)  # height, width of a scene
GREY = 128


def cut_person(path: Path, parse: Parse, canvases: Sequence[Size], taxonomy: Taxonomy) -> Sample:
    """Crop and label the person with the largest connected piece of mask that a parser finds in an image.

    Raises DatasetError if the image cannot be read, InputError if nobody is found in it.
    """
    image = read_image(path, "RGB")
    found = parse_image(parse, unlabelled(image, len(taxonomy.joint_names)), [canvases])
    pieces = [_largest_piece(found.person_map == row) for row in range(1, len(found.keypoints) + 1)]
    areas = [int(piece.sum()) for piece in pieces]
    if not any(areas):
        raise InputError(f"nobody is found in {path}: name an image of one person, seen large, with --image")
    row = int(np.argmax(areas))
    left, top, right, bottom = mask_boxes(pieces[row].astype(np.uint8), 1)[0].astype(int)
    box = slice(top, bottom + 1), slice(left, right + 1)
    mask = pieces[row][box].astype(np.uint8)
    keypoints = found.keypoints[row : row + 1].copy()  # [1, K, 3]
    keypoints -= np.array([left, top, 0], np.float32)
    size = np.array(mask.shape[::-1])
    inside = (keypoints[..., 2] > 0) & ((keypoints[..., :2] >= 0) & (keypoints[..., :2] <= size - 1)).all(axis=2)
    keypoints[..., 2] = 2 * inside
    keypoints[~inside] = 0
    return _labelled(image[box], found.part_map[box] * mask, mask, keypoints)


def unlabelled(image: UInt8, joints: int) -> Sample:
    """An image [H, W, 3] of which nothing is known."""
    nothing = np.zeros(image.shape[:2], np.uint8)
    return _labelled(image, nothing, nothing, np.zeros((0, joints, 3), np.float32))


def tile_person(person: Sample, count: int, size: Size = SIZE) -> Sample:
    """Return a gray image with `count` copies of `person` on a grid, as large as fit, and their labels.

    Raises InputError if `count` is not from 1 to 254, the most that label maps hold.
    """
    if not 1 <= count <= 254:
        raise InputError(f"{count} people: choose from 1 to 254")
    height, width = size
    shapes = [(-(-count // columns), columns) for columns in range(1, count + 1)]
    scales = [min(height // r / person.size[0], width // c / person.size[1]) for r, c in shapes]
    best = int(np.argmax(scales))
    (rows, columns), scale = shapes[best], scales[best]
    tile = _resized(person, scale)
    image = np.full((height, width, 3), GREY, np.uint8)
    parts, people = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    keypoints = []
    for index in range(count):
        row, column = divmod(index, columns)
        top = row * (height // rows) + (height // rows - tile.size[0]) // 2
        left = column * (width // columns) + (width // columns - tile.size[1]) // 2
        area = slice(top, top + tile.size[0]), slice(left, left + tile.size[1])
        image[area], parts[area], people[area] = tile.image, tile.parts, tile.people * (index + 1)
        keypoints.append(
            np.where(tile.keypoints[..., 2:] > 0, tile.keypoints + np.array([left, top, 0], np.float32), 0)[0]
        )
    return _labelled(image, parts, people, np.stack(keypoints))


def crops(scene: Sample, size: Size) -> UInt8:
    """Return the crop of each person of `scene`, as a top-down parser needs it: [n, *size, 3]."""
    image = Image.fromarray(scene.image)
    boxes = [(x0, y0, x1 + 1, y1 + 1) for x0, y0, x1, y1 in scene.boxes.tolist()]
    return np.stack([np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box)) for box in boxes])


def _largest_piece(mask: Bool) -> Bool:
    """Return the largest connected component of a mask; an empty mask stays empty."""
    labels, count = ndimage.label(mask)
    largest: Bool = labels == 1 + np.bincount(labels[mask], minlength=count + 1)[1:].argmax() if count else mask
    return largest


def _resized(person: Sample, scale: float) -> Sample:
    height, width = (max(1, int(side * scale)) for side in person.size)
    factor = np.array([width / person.size[1], height / person.size[0]], np.float32)
    keypoints = person.keypoints.copy()
    keypoints[..., :2] = np.where(keypoints[..., 2:] > 0, (keypoints[..., :2] + 0.5) * factor - 0.5, 0)

    def resize(values: UInt8, resample: Image.Resampling) -> UInt8:
        return np.asarray(Image.fromarray(values).resize((width, height), resample))

    nearest = Image.Resampling.NEAREST
    parts, people = resize(person.parts, nearest), resize(person.people, nearest)
    return _labelled(resize(person.image, Image.Resampling.LANCZOS), parts, people, keypoints)


def _labelled(image: UInt8, parts: UInt8, people: UInt8, keypoints: Float32) -> Sample:
    """Return a sample of n people with complete labels."""
    count = len(keypoints)
    return Sample(
        image=image,
        parts=parts,
        people=people,
        keypoints=keypoints.astype(np.float32),
        joints_labelled=np.ones(keypoints.shape[:2], bool),
        has_mask=np.ones(count, bool),
        pseudo_mask=np.zeros(count, bool),
        boxes=mask_boxes(people, count),
        key=f"crowd of {count}",
        source="tile_person",
    )
