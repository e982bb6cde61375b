"""A run's images, restricted to those whose stated license is among some."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.datasets.base import ImageDataset
from training.data.licenses import UNKNOWN, count_licenses
from training.data.samples import DatasetError


def with_licenses(dataset: ImageDataset, indices: Sequence[int], licenses: Sequence[str]) -> tuple[list[int], str]:
    """Those of `indices` whose image states one of `licenses`, and a sentence about how many are left out.

    Raises DatasetError where none is left.
    """
    kept = [index for index in indices if dataset.records[index].license in licenses]
    left = count_licenses(dataset.records[index].license for index in indices)
    unknown = left.pop(UNKNOWN, 0)
    others = sum(count for code, count in left.items() if code not in licenses)
    said = f"{others:,} images with other licenses and {unknown:,} without a known one are left out"
    if not kept:
        raise DatasetError(
            f"no image to train on is under {', '.join(licenses)}: {said}; allow more licenses, or write what the "
            "images are under into annotations.json (license)"
        )
    return kept, said
