"""What a checkpoint says of the licenses of the images that its weights learned from."""

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
    """Images by license that a checkpoint or bundle records; empty where it records none."""
    if path is None:
        return {}
    if path.is_dir():
        return read_bundle(path).data_licenses
    return dict(read_checkpoint(path).get("data_licenses", {}))


def count_learned(data: TrainingSet, last: Path, start: Path | None) -> dict[str, int]:
    """Images by license that the weights of a run learned from, most first.

    They are those of `data`, and what is recorded of the run so far (its checkpoint `last`) or, at its beginning, of
    the weights that it starts from. Which of these are the same images nobody recorded: of each license there are at
    least so many.
    """
    own = count_licenses(data.dataset.records[index].license for index in data.indices)
    earlier = recorded_licenses(last if last.exists() else start)
    counts = {code: max(own.get(code, 0), earlier.get(code, 0)) for code in own | earlier}
    return dict(sorted(counts.items(), key=lambda item: -item[1]))


def warn_of_start(start: Path | None, licenses: Sequence[str]) -> None:
    """Say where a restricted run starts from weights that are not known to have learned within its restriction."""
    if start is not None and licenses and not is_within(recorded_licenses(start), licenses):
        tqdm.write(
            f"{start} learned from images with other or unrecorded licenses: --licenses restricts this run alone",
            file=sys.stderr,
        )
