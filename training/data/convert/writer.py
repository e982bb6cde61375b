"""Write a training folder as `training.data.datasets.folders` reads it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageOps

from model.taxonomy import Taxonomy
from training.data.convert.rasterize import RasterizedLabels
from training.data.datasets.folder_records import ANNOTATIONS
from training.data.samples import DatasetError

FOLDERS = ("images", "parts", "people")
UPRIGHT = 1  # EXIF orientation of an image that is stored as it is shown


class FolderWriter:
    """Writes images and maps into `images/`, `parts/`, `people/`; `finish` writes the annotations.

    Images are copied, or hard-linked if `link`; images with an EXIF rotation are written upright.
    Raises DatasetError if `out` is not empty.
    """

    def __init__(self, out: Path, taxonomy: Taxonomy, link: bool = False) -> None:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise DatasetError(f"{out} already holds something; name a new folder")
        for folder in FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        self.out, self.taxonomy, self.link = out, taxonomy, link
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self._keys: set[str] = set()

    def add(self, path: Path, labels: RasterizedLabels, complete: bool = True) -> None:
        """Write one image. Unless its labels are `complete`, an image without people does not count as person-free.

        Raises DatasetError, before writing, if the image cannot be read or its size is not that of the labels.
        """
        key, number = path.stem, 2
        while key.casefold() in self._keys:  # file systems may not tell cases apart
            key, number = f"{path.stem}_{number}", number + 1
        name = self._write_image(path, key, labels.parts.shape)
        self._keys.add(key.casefold())
        for folder, array in (("parts", labels.parts), ("people", labels.people)):
            Image.fromarray(array).save(self.out / folder / f"{key}.png", optimize=True)
        height, width = labels.parts.shape
        image = len(self.images) + 1
        record = {"id": image, "file_name": f"images/{name}", "width": width, "height": height}
        self.images.append(record if complete else {**record, "negative": False})
        for record in labels.records:
            self.annotations.append({"id": len(self.annotations) + 1, "image_id": image, **record})

    def finish(self) -> Path:
        """Write the annotations, and return their path."""
        value = {
            "info": {"description": "converted images", "part_names": ["background", *self.taxonomy.part_names]},
            "categories": [{"id": 1, "name": "person", "keypoints": list(self.taxonomy.joint_names)}],
            "images": self.images,
            "annotations": self.annotations,
        }
        path = self.out / ANNOTATIONS
        path.write_text(json.dumps(value), encoding="utf-8")
        return path

    def _write_image(self, path: Path, key: str, size: tuple[int, ...]) -> str:
        """Write the image; returns the file's name in `images/`."""
        with open_image(path) as file:
            turned = file.getexif().get(ExifTags.Base.Orientation, UPRIGHT) != UPRIGHT
            upright = ImageOps.exif_transpose(file)
            lossless, stored = file.format == "PNG", file.size
        wanted = size[::-1]  # width and height
        if wanted not in (upright.size, stored):
            raise DatasetError(f"{path} is {upright.size}, its labels are {wanted} pixels; give the labelled image")
        if turned and wanted == upright.size:
            name = f"{key}.{'png' if lossless else 'jpg'}"
            upright.convert("RGB").save(self.out / "images" / name, quality=95)
            return name
        name = f"{key}{path.suffix.lower()}"
        try:
            (os.link if self.link else shutil.copyfile)(path, self.out / "images" / name)
        except OSError as error:
            raise DatasetError(f"{path} cannot be put into {self.out} ({error}); try without --link") from error
        return name


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """Open and decode an image. Raises DatasetError if it is missing or broken."""
    try:
        with Image.open(path) as file:
            file.load()
            yield file
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing; name the folder of the images with --images") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(f"{path} cannot be decoded ({error}); put the image there again") from error


def upright_size(path: Path) -> tuple[int, int]:
    """Return height and width of an image after EXIF rotation. Raises DatasetError if it is missing or broken."""
    with open_image(path) as file:
        width, height = ImageOps.exif_transpose(file).size
    return height, width
