"""Folders of one's own images on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO
from training.data.convert.rasterize import RasterizedLabels
from training.data.convert.writer import FolderWriter, upright_size
from training.data.datasets.folders import FolderDataset
from training.data.samples import DatasetError

T = DENSEPOSE_COCO
ORIENTATION = 0x0112


def labels(height: int, width: int) -> RasterizedLabels:
    return RasterizedLabels(np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8), [])


def write_image(path: Path, orientation: int = 1, size: tuple[int, int] = (20, 30)) -> Path:
    """An image of height and width `size` as stored, red at its stored top."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((*size, 3), np.uint8)
    image[:8, :, 0] = 255
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(image).save(path, exif=exif, quality=95)
    return path


def test_an_image_with_exif_rotation_is_written_upright(tmp_path: Path) -> None:
    source = write_image(tmp_path / "IMG.JPG", orientation=6)  # to be turned clockwise: its top is at the right
    assert upright_size(source) == (30, 20)
    writer = FolderWriter(tmp_path / "out", T)
    writer.add(source, labels(30, 20))
    writer.finish()
    image = FolderDataset([tmp_path / "out"], T).load(0).image
    assert image.shape == (30, 20, 3)
    assert image[:, 13:, 0].min() > 200
    assert image[:, :11, 0].max() < 60


def test_an_image_labelled_as_stored_is_copied(tmp_path: Path) -> None:
    source = write_image(tmp_path / "IMG.JPG", orientation=6)
    writer = FolderWriter(tmp_path / "out", T)
    writer.add(source, labels(20, 30))
    assert (tmp_path / "out/images/IMG.jpg").read_bytes() == source.read_bytes()


def test_images_of_one_name_get_different_keys(tmp_path: Path) -> None:
    writer = FolderWriter(tmp_path / "out", T)
    for folder in ("a", "b", "c"):
        writer.add(write_image(tmp_path / folder / ("IMG.jpg" if folder != "b" else "img.jpg")), labels(20, 30))
    writer.finish()
    assert [record.key for record in FolderDataset([tmp_path / "out"], T).records] == ["IMG", "img_2", "IMG_3"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda source: source.unlink(), "IMG.jpg is missing; name the folder"),
        (lambda source: source.write_bytes(source.read_bytes()[:300]), "IMG.jpg cannot be decoded"),
        (lambda source: write_image(source, size=(20, 31)), r"is \(31, 20\), its labels are \(30, 20\) pixels"),
    ],
)
def test_an_image_that_does_not_fit_its_labels_writes_nothing(tmp_path: Path, damage, message: str) -> None:
    source = write_image(tmp_path / "IMG.jpg")
    damage(source)
    writer = FolderWriter(tmp_path / "out", T)
    with pytest.raises(DatasetError, match=message):
        writer.add(source, labels(20, 30))
    assert not writer.images
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "IMG.jpg")
    for out in (tmp_path, tmp_path / "IMG.jpg"):
        with pytest.raises(DatasetError, match="already holds something"):
            FolderWriter(out, T)
