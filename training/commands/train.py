"""Train a recipe on labelled images; under torchrun, on several GPUs."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from model.config import apply_overrides
from model.taxonomy import get_taxonomy
from training.config.recipes import RECIPES
from training.data.datasets.license_filter import with_licenses
from training.data.datasets.open import open_split
from training.data.licenses import chosen_licenses
from training.engine.loop import train
from training.transforms.training_set import TrainingSet

HELP = "train a recipe; run it again to continue where it was stopped"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("data", nargs="+", type=Path, help="data sets, in any layout of docs/datasets.md")
    # No option of torchrun may begin with these names: torchrun would take them for abbreviations.
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoint, logs and previews")
    parser.add_argument("--exclude", type=Path, metavar="LIST", help="keys of images not to train on, one per line")
    parser.add_argument("--licenses", metavar="CODE,CODE", help="train on images that state one of these licenses")
    parser.add_argument("--backbone-weights", type=Path, help="public checkpoint of the backbone")
    parser.add_argument("--weights", type=Path, help="checkpoint of an earlier run, or a bundle, to start from")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=float, help="overrides the recipe's length; its stages keep their proportions")
    length.add_argument("--steps", type=int, help="the same in optimizer steps")
    parser.add_argument(
        "--set",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="change the recipe: batch_size=16 input_size=384,384 model.hidden_dim=64",
    )
    parser.add_argument("--strict", action="store_true", help="stop at the first image that cannot be read")


def run(chosen: argparse.Namespace) -> int:
    """Train, and print the path of the checkpoint."""
    config = apply_overrides(RECIPES[chosen.recipe](), chosen.set)
    licenses = () if chosen.licenses is None else chosen_licenses(chosen.licenses)
    dataset, training, validation = open_split(chosen.data, get_taxonomy(config.model.taxonomy), chosen.exclude)
    said = ""
    if licenses:
        training, said = with_licenses(dataset, training, licenses)
    data = TrainingSet(dataset, training, config, chosen.strict)
    steps = chosen.steps
    if chosen.epochs is not None:
        steps = round(chosen.epochs * data.epoch_steps)
    first = os.environ.get("RANK", "0") == "0"
    if first:
        print(f"{len(training)} images to train on, {len(validation)} held out")
        if licenses:
            print(f"under {', '.join(licenses)}; {said}")
    last = train(config, data, validation, chosen.out, chosen.backbone_weights, chosen.weights, steps, licenses)
    if first:
        print(f"checkpoint: {last}")
    return 0
