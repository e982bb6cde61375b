"""Restrict the images of a run by license."""

from __future__ import annotations

from collections.abc import Sequence

from training.data.datasets.base import ImageDataset
from training.data.licenses import UNKNOWN, count_licenses
from training.data.samples import DatasetError


def with_licenses(dataset: ImageDataset, indices: Sequence[int], licenses: Sequence[str]) -> tuple[list[int], str]:
    """Return those of `indices` whose image has one of `licenses`, and a sentence on how many are left out.

    Raises DatasetError if none is left.
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
