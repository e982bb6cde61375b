"""Lists of photos in text files: one key a line, `#` begins a remark."""

from __future__ import annotations

from pathlib import Path

from training.data.datasets.base import PhotoDataset
from training.data.samples import DatasetError


def listed(photos: PhotoDataset, path: Path) -> list[int]:
    """Indices of the photos that the file at `path` names. Names of other photos do no harm.

    Raises DatasetError where the file cannot be read or names none of the photos.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot read the list of photos {path}: {error}") from error
    keys = {line.partition("#")[0].strip() for line in lines}
    found = [index for index, photo in enumerate(photos.photos) if photo.key in keys]
    if not found:
        raise DatasetError(f"{path} names none of these photos; write the key of one on each line")
    return found
