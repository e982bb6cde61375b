"""Images without labels: find and read them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.taxonomy import IGNORE, Taxonomy
from training.data.samples import DatasetError, Sample, UInt8

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif")


def find_images(paths: Iterable[Path]) -> list[Path]:
    """List the given files, and the images in the given folders by name. Raises DatasetError if there are none."""
    paths = list(paths)
    found: list[Path] = []
    for path in paths:
        inside = path.iterdir() if path.is_dir() else ()
        found += sorted(file for file in inside if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not found:
        names = ", ".join(map(str, paths))
        raise DatasetError(f"no images in {names}: name images, or folders that hold {', '.join(SUFFIXES)}")
    return found


def read_upright(path: Path) -> UInt8:
    """Read an image as RGB uint8 [H, W, 3], rotated by its EXIF orientation, with transparent pixels white.

    Raises DatasetError if the file is missing or cannot be decoded.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
        return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read ({error})") from None


def unlabelled(image: UInt8, key: str, taxonomy: Taxonomy) -> Sample:
    """Return a sample without labels: all pixels unknown, no people."""
    unknown = np.full(image.shape[:2], IGNORE, np.uint8)
    return Sample(
        image=image,
        parts=unknown,
        people=unknown,
        keypoints=np.zeros((0, len(taxonomy.joint_names), 3), np.float32),
        joints_labelled=np.zeros((0, len(taxonomy.joint_names)), bool),
        has_mask=np.zeros(0, bool),
        pseudo_mask=np.zeros(0, bool),
        boxes=np.zeros((0, 4), np.float32),
        key=key,
        source="plain",
    )
