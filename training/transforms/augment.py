"""Warp an image with all of its labels to a canvas, for training or evaluation.

Frames: `_image` are the image's pixels, `_canvas` the result's. An affine map here is [2, 3] and works on *edge*
coordinates (pixel i covers i..i+1), in which a change of scale needs no half-pixel terms.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.letterbox import LETTERBOX_COLOR, Letterbox, letterbox_geometry
from model.taxonomy import Taxonomy
from training.data.samples import Bool, Float32, Sample, UInt8

Affine = NDArray[np.float64]  # [2, 3], from image to canvas, edge coordinates
Colors = tuple[float, ...]  # an affine map of RGB, the rows of a [3, 4] matrix

LUMA = np.array([0.299, 0.587, 0.114])
FULL_HUE = 50.0  # largest hue rotation in degrees, at color jitter 1
JPEG_QUALITIES = (20, 90)  # of compressed views; lower ones show little but blocks


@dataclass(frozen=True)
class Augmentation:
    """Augmentation parameters: the paper's flip, scale, rotation and color jitter (section 4.1).

    Scale is relative to the image fitted into the canvas, log-uniform in its range. Brightness, contrast and
    saturation change by a factor of 1 +- `color_jitter`; the hue rotates by up to `color_jitter` times `FULL_HUE`.
    `jpeg_prob`: probability that the result is encoded as a JPEG of a quality in `JPEG_QUALITIES`, and decoded again.
    """

    hflip_prob: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0  # largest angle in degrees, in both directions
    color_jitter: float = 0.3
    jpeg_prob: float = 0.0


def augment(
    sample: Sample, rng: np.random.Generator, size: tuple[int, int], taxonomy: Taxonomy, config: Augmentation
) -> Sample:
    """Return a random augmentation of `sample` on a canvas of `size` (height, width), a function of the state of `rng`.

    The margin around the image is `LETTERBOX_COLOR`, labelled background. Joints outside the canvas get v = 0 and stay
    known to be absent; people without a pixel left are dropped.
    """
    flip = rng.random() < config.hflip_prob
    affine = _random_affine(sample, rng, size, config, flip)
    warped = drop_empty_instances(warp(sample, affine, size, random_colors(sample.image, rng, config.color_jitter)))
    compression = rng.spawn(1)[0]  # a stream of its own: other views stay as they are without compression
    if compression.random() < config.jpeg_prob:
        warped = replace(
            warped, image=jpeg_compress(warped.image, int(compression.integers(*JPEG_QUALITIES, endpoint=True)))
        )
    return swap_left_right(warped, taxonomy) if flip else warped


def letterbox(
    sample: Sample, size: tuple[int, int], resample: Image.Resampling = Image.Resampling.BILINEAR
) -> tuple[Sample, Letterbox]:
    """Fit `sample` into a canvas of `size`, by default exactly as the service does; also returns its position there.

    No person is dropped: rows of the result are rows of `sample`.
    """
    box = letterbox_geometry(sample.size, size)
    resized = (box.width, box.height)
    rows = slice(box.offset_y, box.offset_y + box.height)
    columns = slice(box.offset_x, box.offset_x + box.width)
    image = np.full((*size, 3), LETTERBOX_COLOR, np.uint8)  # [H, W, 3]
    image[rows, columns] = np.asarray(Image.fromarray(sample.image).resize(resized, resample))
    parts, people = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    parts[rows, columns] = np.asarray(Image.fromarray(sample.parts).resize(resized, Image.Resampling.NEAREST))
    people[rows, columns] = np.asarray(Image.fromarray(sample.people).resize(resized, Image.Resampling.NEAREST))
    affine = np.array([[box.scale_x, 0, box.offset_x], [0, box.scale_y, box.offset_y]])
    return (
        replace(
            sample,
            image=image,
            parts=parts,
            people=people,
            keypoints=_move_keypoints(sample.keypoints, affine, size),
            boxes=_move_boxes(sample.boxes, affine, size),
        ),
        box,
    )


def _random_affine(
    sample: Sample, rng: np.random.Generator, size: tuple[int, int], config: Augmentation, flip: bool
) -> Affine:
    """Scale and rotate about a random focus, then place the focus in the canvas."""
    size_image, size_canvas = np.array(sample.size[::-1], float), np.array(size[::-1], float)  # both (x, y)
    low, high = config.scale
    scale = (size_canvas / size_image).min() * math.exp(rng.uniform(math.log(low), math.log(high)))
    angle = math.radians(rng.uniform(-config.rotation, config.rotation))

    region = np.array([[0.0, 0.0], size_image])  # the focus is a point of a person's box, or else of the image
    if len(sample.boxes):
        region = sample.boxes[rng.integers(len(sample.boxes))].astype(float).reshape(2, 2)
    focus_image = rng.uniform(region.min(axis=0), region.max(axis=0))

    # The focus goes to the center as far as the image still covers the canvas; if it cannot cover it, anywhere inside.
    before, after = scale * focus_image, scale * (size_image - focus_image)  # canvas pixels either side of the focus
    if flip:
        before[0], after[0] = after[0], before[0]
    spare = size_canvas - scale * size_image
    landing = np.clip(size_canvas / 2, np.minimum(size_canvas - after, before), np.maximum(size_canvas - after, before))
    landing = np.where(spare > 0, before + rng.uniform(0, 1, 2) * spare, landing)

    cos, sin = scale * math.cos(angle), scale * math.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if flip:
        linear[:, 0] *= -1
    return np.column_stack([linear, landing - linear @ focus_image])


def warp(sample: Sample, affine: Affine, size: tuple[int, int], colors: Colors | None = None) -> Sample:
    """Warp image (bilinear), maps (nearest) and points (exact); the margin is `LETTERBOX_COLOR`, labelled background.

    `colors` as in `random_colors`; they do not apply to the margin. No person is dropped, and left and right are not
    exchanged: see `swap_left_right`.
    """
    scale = math.sqrt(abs(np.linalg.det(affine[:, :2])))
    factor = max(1, int(1 / scale + 0.25))  # averaging whole blocks first keeps bilinear sampling from aliasing
    source = Image.fromarray(sample.image)
    reduced = source.reduce(factor) if factor > 1 else source
    jittered = reduced if colors is None else reduced.convert("RGB", colors)
    return replace(
        sample,
        image=_transform(jittered, affine * [factor, factor, 1], size, Image.Resampling.BILINEAR, LETTERBOX_COLOR),
        parts=_transform(Image.fromarray(sample.parts), affine, size, Image.Resampling.NEAREST, 0),
        people=_transform(Image.fromarray(sample.people), affine, size, Image.Resampling.NEAREST, 0),
        keypoints=_move_keypoints(sample.keypoints, affine, size),
        boxes=_move_boxes(sample.boxes, affine, size),
    )


def jpeg_compress(image: UInt8, quality: int) -> UInt8:
    """Return `image` [H, W, 3] encoded as a JPEG of `quality` (1 to 100), chroma at half the size, and decoded."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def drop_empty_instances(sample: Sample) -> Sample:
    """Drop people outside of the image: without a pixel left or, if they have no mask, without a joint."""
    pixels = np.bincount(sample.people.ravel(), minlength=256)[1 : len(sample.keypoints) + 1]
    keep = np.where(sample.has_mask, pixels > 0, (sample.keypoints[:, :, 2] > 0).any(axis=1))  # [n]
    renumber = np.zeros(256, np.uint8)
    renumber[255] = 255
    renumber[np.flatnonzero(keep) + 1] = np.arange(1, keep.sum() + 1)
    return replace(
        sample,
        people=renumber[sample.people],
        keypoints=sample.keypoints[keep],
        joints_labelled=sample.joints_labelled[keep],
        has_mask=sample.has_mask[keep],
        pseudo_mask=sample.pseudo_mask[keep],
        boxes=sample.boxes[keep],
    )


def _transform(
    image: Image.Image, affine: Affine, size: tuple[int, int], resample: Image.Resampling, fill: int | tuple[int, ...]
) -> UInt8:
    inverse = np.linalg.inv(affine[:, :2])
    data = np.column_stack([inverse, -inverse @ affine[:, 2]]).ravel().tolist()
    return np.asarray(image.transform(size[::-1], Image.Transform.AFFINE, data, resample, fillcolor=fill))


def _move_keypoints(keypoints: Float32, affine: Affine, size: tuple[int, int]) -> Float32:
    """Map joints to canvas pixels; zero those outside."""
    moved = keypoints.copy()  # [n, K, 3]
    moved[:, :, :2] = (keypoints[:, :, :2] + 0.5) @ affine[:, :2].T + affine[:, 2] - 0.5
    x, y = moved[:, :, 0], moved[:, :, 1]
    inside: Bool = (x >= -0.5) & (y >= -0.5) & (x < size[1] - 0.5) & (y < size[0] - 0.5) & (keypoints[:, :, 2] > 0)
    moved[~inside] = 0
    return moved


def _move_boxes(boxes: Float32, affine: Affine, size: tuple[int, int]) -> Float32:
    """Return upright boxes around the mapped corners, clipped to the canvas."""
    corners = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)  # [n, 4, 2]
    moved = (corners + 0.5) @ affine[:, :2].T + affine[:, 2] - 0.5
    limits = np.array([size[1] - 1, size[0] - 1])
    ends = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)  # [n, 4]
    return np.clip(ends, 0, np.tile(limits, 2)).astype(np.float32)


def swap_left_right(sample: Sample, taxonomy: Taxonomy) -> Sample:
    """Exchange left and right parts and joints, after a flip of the pixels."""
    part_flip = np.arange(256, dtype=np.uint8)
    part_flip[: len(taxonomy.part_flip)] = taxonomy.part_flip
    order = list(taxonomy.joint_flip)
    return replace(
        sample,
        parts=part_flip[sample.parts],
        keypoints=sample.keypoints[:, order],
        joints_labelled=sample.joints_labelled[:, order],
    )


def random_colors(image: UInt8, rng: np.random.Generator, color: float) -> Colors:
    """Return random brightness, contrast, saturation and hue as one affine map of `image`'s colors."""
    brightness, contrast, saturation = 1 + rng.uniform(-color, color, 3)
    angle = color * math.radians(rng.uniform(-FULL_HUE, FULL_HUE))
    # A rotation about the gray axis (Rodrigues): grays stay, hues rotate.
    cos, sin = math.cos(angle), math.sin(angle) / math.sqrt(3)
    turn = cos * np.eye(3) + (1 - cos) / 3 + sin * np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]])
    saturate = saturation * np.eye(3) + (1 - saturation) * LUMA
    linear = brightness * contrast * saturate @ turn
    grey = image[::8, ::8].mean(axis=(0, 1)) @ LUMA  # contrast pivots on the image's mean brightness
    matrix = np.column_stack([linear, np.full(3, brightness * (1 - contrast) * grey)])
    return tuple(matrix.ravel().tolist())
