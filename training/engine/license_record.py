"""Record in a checkpoint how many images of each license its weights learned from."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from model.checkpoint import read_checkpoint
from model.manifest import read_bundle
from training.data.licenses import count_licenses, is_within
from training.transforms.training_set import TrainingSet


def recorded_licenses(path: Path | None) -> dict[str, int]:
    """Return the image counts by license that a checkpoint or bundle records; empty if it has none."""
    if path is None:
        return {}
    if path.is_dir():
        return read_bundle(path).data_licenses
    return dict(read_checkpoint(path).get("data_licenses", {}))


def count_learned(data: TrainingSet, last: Path, start: Path | None) -> dict[str, int]:
    """Count the images that the weights of a run learned from by license, most frequent first.

    They are the images of `data` and those recorded for the run so far (its checkpoint `last`) or, at its beginning,
    for its initial weights. The overlap of the two is not recorded, so the count of a license is the larger one: a
    lower bound.
    """
    own = count_licenses(data.dataset.records[index].license for index in data.indices)
    earlier = recorded_licenses(last if last.exists() else start)
    counts = {code: max(own.get(code, 0), earlier.get(code, 0)) for code in own | earlier}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def warn_of_start(start: Path | None, licenses: Sequence[str]) -> None:
    """Warn if a restricted run starts from weights that are not known to have learned within its restriction."""
    if start is not None and licenses and not is_within(recorded_licenses(start), licenses):
        tqdm.write(
            f"{start} learned from images with other or unrecorded licenses: --licenses restricts this run alone",
            file=sys.stderr,
        )
