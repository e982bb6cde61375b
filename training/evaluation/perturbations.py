"""Perturbations of labelled images: `PERTURBATIONS`.

If pixels move, labels move with them, by the same affine map. No person is dropped: rows of the result are rows of the
sample. Perturbations are deterministic per image.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from model.taxonomy import Taxonomy
from training.data.samples import Sample, UInt8
from training.evaluation.metrics.pixels import Float64
from training.transforms.augment import Affine, jpeg_compress, letterbox, swap_left_right, warp

Perturb = Callable[[Sample, Taxonomy], tuple[Sample, Affine]]
"""The perturbed image with its labels, and the map from the image to it (edge coordinates: `transforms.augment`)."""

LIGHT = 0.15  # of the original light
FULL_WELL = 4000.0  # electrons of a white pixel in full light: a phone's small pixel
READ_NOISE = 4.0  # electrons, standard deviation
JPEG_QUALITY = 30

IN_PLACE: Affine = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True)
class Perturbation:
    """A function of labelled images, and its description."""

    description: str
    apply: Perturb


def mirror(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
    """Flip horizontally and exchange left and right labels."""
    mirrored, affine = mirror_pixels(sample, taxonomy)
    return swap_left_right(mirrored, taxonomy), affine


def mirror_pixels(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
    """Flip horizontally without exchanging left and right labels, which makes them wrong."""
    affine = np.array([[-1.0, 0.0, sample.size[1]], [0.0, 1.0, 0.0]])
    return warp(sample, affine, sample.size), affine


def turn(degrees: float) -> Perturb:
    """Return a rotation about the image center, counter-clockwise as seen; the canvas grows until nothing is cut."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    linear = np.array([[cos, sin], [-sin, cos]])  # y points down

    def apply(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
        sides = np.array(sample.size[::-1])  # x, y
        grown = np.ceil(np.abs(linear) @ sides)
        affine = np.column_stack([linear, grown / 2 - linear @ sides / 2])
        return warp(sample, affine, (int(grown[1]), int(grown[0]))), affine

    return apply


def shrink(factor: int) -> Perturb:
    """Return a downscaling by `factor`, with area averaging; sides are rounded, to at least one pixel."""

    def apply(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
        height, width = (max(round(side / factor), 1) for side in sample.size)
        small, box = letterbox(sample, (height, width), Image.Resampling.BOX)
        return small, np.array([[box.scale_x, 0, box.offset_x], [0, box.scale_y, box.offset_y]])

    return apply


def darken(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
    """Simulate `LIGHT` of the light, with the same exposure and no gain.

    Linear light L in [0, 1] fills a pixel with n ~ Poisson(LIGHT L FULL_WELL) electrons (shot noise), reading adds
    Normal(0, READ_NOISE); the result is the sRGB encoding of n / FULL_WELL, in 8 bits. Noise is independent in each
    channel and seeded by the image's key. A camera's demosaicing, denoising and sharpening are not modelled.
    """
    rng = np.random.default_rng(zlib.crc32(sample.key.encode()))
    electrons = rng.poisson(LIGHT * FULL_WELL * _LINEAR[sample.image])  # [H, W, 3]
    read = electrons + rng.normal(0, READ_NOISE, electrons.shape)
    return replace(sample, image=_encode(np.clip(read / FULL_WELL, 0, 1))), IN_PLACE


def compress(sample: Sample, taxonomy: Taxonomy) -> tuple[Sample, Affine]:
    """Encode as a JPEG of `JPEG_QUALITY` with chroma subsampling 4:2:0, and decode it."""
    return replace(sample, image=jpeg_compress(sample.image, JPEG_QUALITY)), IN_PLACE


HFLIP, HFLIP_NO_SWAP = "hflip", "hflip_no_swap"

PERTURBATIONS = {
    HFLIP: Perturbation("mirrored; labels too, left and right exchanged", mirror),
    HFLIP_NO_SWAP: Perturbation("control: mirrored, left and right not exchanged in the labels", mirror_pixels),
    "rotate_ccw_15": Perturbation("turned by 15 degrees counter-clockwise", turn(15)),
    "rotate_cw_15": Perturbation("turned by 15 degrees clockwise", turn(-15)),
    "downscale_2x": Perturbation("half as wide and high", shrink(2)),
    "downscale_4x": Perturbation("a quarter as wide and high", shrink(4)),
    "low_light": Perturbation(f"{LIGHT:.0%} of the light, with shot and read noise", darken),
    f"jpeg_q{JPEG_QUALITY}": Perturbation(f"JPEG of quality {JPEG_QUALITY}", compress),
}


def _decode(encoded: Float64) -> Float64:
    """Convert sRGB in [0, 1] to linear light in [0, 1] (IEC 61966-2-1)."""
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _encode(linear: Float64) -> UInt8:
    """Inverse of `_decode`, in 8 bits."""
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * encoded).astype(np.uint8)


_LINEAR = _decode(np.arange(256) / 255)
