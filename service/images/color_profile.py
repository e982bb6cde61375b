"""Converts images with a color profile to sRGB, which the network was trained on and every screen shows."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

TOLERANCE = 3  # of 255: a profile that moves no color further is sRGB under some name
SPACES = {"RGB": ("RGB", "RGBX"), "CMYK": ("CMYK",)}  # color space of a profile: Pillow modes that it describes


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Return the image in sRGB; unchanged if it has no profile, sRGB's, a damaged one or one of another color space.

    Browsers show such images as if they had no profile, too.
    """
    transform = None if profile is None else _transform(profile, image.mode)
    return image if transform is None else transform.apply(image)


@lru_cache(maxsize=16)  # a camera writes the same profile into every file, and making a transform takes 5 ms
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if mode not in SPACES.get(source.profile.xcolor_space.strip(), ()):
            return None
        target = "RGB" if mode == "CMYK" else mode
        transform = ImageCms.ImageCmsTransform(source, ImageCms.ImageCmsProfile(_srgb()), mode, target)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if mode != "CMYK" and _changes_nothing(transform, mode) else transform


@lru_cache(maxsize=1)
def _srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    steps = np.linspace(0, 255, 6).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(1, -1, 3)  # [1, 216, 3]
    changed = transform.apply(Image.fromarray(colors).convert(mode)).convert("RGB")
    return bool(np.abs(np.asarray(changed).astype(int) - colors).max() <= TOLERANCE)
