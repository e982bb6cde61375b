"""Photos without labels: finding them, reading them as they are meant to be seen."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from model.taxonomy import IGNORE, Taxonomy
from training.data.samples import DatasetError, Sample, UInt8

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif")


def find_photos(paths: Iterable[Path]) -> list[Path]:
    """Files as they are named, and of folders the photos by name. Raises DatasetError where there is none."""
    paths = list(paths)
    found: list[Path] = []
    for path in paths:
        inside = path.iterdir() if path.is_dir() else ()
        found += sorted(file for file in inside if file.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
    if not found:
        names = ", ".join(map(str, paths))
        raise DatasetError(f"no photos in {names}: name photos, or folders that hold {', '.join(SUFFIXES)}")
    return found


def read_photo(path: Path) -> UInt8:
    """Pixels [H, W, 3] of a photo as it is meant to be seen: upright by its EXIF, transparent pixels white.

    Raises DatasetError for a missing or undecodable file.
    """
    try:
        with Image.open(path) as file:
            photo = ImageOps.exif_transpose(file)
        if photo.has_transparency_data:
            photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo.convert("RGBA"))
        return np.asarray(photo.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} cannot be read ({error})") from None


def unlabelled(image: UInt8, key: str, taxonomy: Taxonomy) -> Sample:
    """A photo of which nothing is known."""
    unknown = np.full(image.shape[:2], IGNORE, np.uint8)
    return Sample(
        image=image,
        parts=unknown,
        people=unknown,
        keypoints=np.zeros((0, len(taxonomy.joint_names), 3), np.float32),
        joints_labelled=np.zeros((0, len(taxonomy.joint_names)), bool),
        has_mask=np.zeros(0, bool),
        boxes=np.zeros((0, 4), np.float32),
        key=key,
        source="plain",
    )
