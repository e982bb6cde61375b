"""Image lists: text files with one key per line; `#` begins a comment."""

from __future__ import annotations

from pathlib import Path

from training.data.datasets.base import ImageDataset
from training.data.samples import DatasetError


def listed(dataset: ImageDataset, path: Path) -> list[int]:
    """Return the indices of the images that the file at `path` lists. Keys of other images are ignored.

    Raises DatasetError if the file cannot be read or lists none of the images.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the list of images {path}: {error}") from error
    keys = {line.partition("#")[0].strip() for line in lines}
    found = [index for index, record in enumerate(dataset.records) if record.key in keys]
    if not found:
        raise DatasetError(f"{path} names none of these images; write the key of one on each line")
    return found
