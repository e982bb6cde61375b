"""Train a recipe on labelled photos."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

from model.taxonomy import get_taxonomy
from training.config import RECIPES
from training.datasets.open import open_dataset
from training.loop import train
from training.samples import DatasetError
from training.targets import TrainingSet

HELP = "train a recipe; run it again to continue where it was stopped"
PREVIEWED = 8  # photos on the picture of a run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("data", nargs="+", type=Path, help="data sets")
    parser.add_argument("--run", required=True, type=Path, help="folder for checkpoint, log.csv and pictures")
    parser.add_argument("--pretrained", type=Path, help="public checkpoint of the backbone")
    parser.add_argument("--start", type=Path, help="checkpoint of an earlier run to start from")
    parser.add_argument("--steps", type=int, help="instead of the recipe's number of steps")


def run(chosen: argparse.Namespace) -> int:
    """Train, and say where the checkpoint is."""
    config = RECIPES[chosen.recipe]()
    if chosen.steps is not None:
        config = dataclasses.replace(config, steps=chosen.steps)
    photos = open_dataset(chosen.data, get_taxonomy(config.model.taxonomy))
    training, validation = photos.split()
    if not training:
        raise DatasetError(f"no photos to train on in {', '.join(map(str, chosen.data))}")
    print(f"{len(training)} photos to train on, {len(validation)} held out")
    data = TrainingSet(photos, training, config)
    last = train(config, data, validation[:PREVIEWED], chosen.run, chosen.pretrained, chosen.start)
    print(f"checkpoint: {last}")
    return 0
