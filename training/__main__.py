"""`python -m training`: train on labelled photos."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

from model.checkpoint import CheckpointError
from model.taxonomy import get_taxonomy
from training.config import RECIPES
from training.folders import FolderDataset, split
from training.loop import train
from training.samples import DatasetError
from training.targets import TrainingSet

PREVIEWED = 8  # photos on the picture of a run


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 2 where data, checkpoint or arguments are unusable."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("train", help="train a recipe; run it again to continue where it was stopped")
    run.add_argument("recipe", choices=sorted(RECIPES))
    run.add_argument("data", nargs="+", type=Path, help="folders with images/, parts/, people/ and annotations.json")
    run.add_argument("--run", required=True, type=Path, help="folder for checkpoint, log.csv and pictures")
    run.add_argument("--pretrained", type=Path, help="public checkpoint of the backbone")
    run.add_argument("--start", type=Path, help="checkpoint of an earlier run to start from")
    run.add_argument("--steps", type=int, help="instead of the recipe's number of steps")
    chosen = parser.parse_args(arguments)
    try:
        return _train(chosen)
    except (DatasetError, CheckpointError, ValueError) as error:
        print(f"python -m training: {error}", file=sys.stderr)
        return 2


def _train(chosen: argparse.Namespace) -> int:
    config = RECIPES[chosen.recipe]()
    if chosen.steps is not None:
        config = dataclasses.replace(config, steps=chosen.steps)
    photos = FolderDataset(chosen.data, get_taxonomy(config.model.taxonomy))
    training, validation = split(photos)
    if not training:
        raise DatasetError(f"no photos to train on in {', '.join(map(str, chosen.data))}")
    print(f"{len(training)} photos to train on, {len(validation)} held out")
    data = TrainingSet(photos, training, config)
    last = train(config, data, validation[:PREVIEWED], chosen.run, chosen.pretrained, chosen.start)
    print(f"checkpoint: {last}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
