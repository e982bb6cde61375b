"""A run's photos, restricted to those whose stated licence is among some."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.datasets.base import PhotoDataset
from training.data.licenses import UNKNOWN, count_licenses
from training.data.samples import DatasetError


def with_licenses(photos: PhotoDataset, indices: Sequence[int], licenses: Sequence[str]) -> tuple[list[int], str]:
    """Those of `indices` whose photo states one of `licenses`, and a sentence about how many are left out.

    Raises DatasetError where none is left.
    """
    kept = [index for index in indices if photos.photos[index].license in licenses]
    left = count_licenses(photos.photos[index].license for index in indices)
    unknown = left.pop(UNKNOWN, 0)
    others = sum(count for code, count in left.items() if code not in licenses)
    said = f"{others:,} photos with other licences and {unknown:,} without a known one are left out"
    if not kept:
        raise DatasetError(
            f"no photo to train on is under {', '.join(licenses)}: {said}; allow more licences, or write what the "
            "photos are under into annotations.json (license)"
        )
    return kept, said
