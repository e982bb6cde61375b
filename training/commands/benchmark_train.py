"""Measure the training throughput of a recipe: its step, its loader, and both together."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from model.config import apply_overrides
from model.taxonomy import get_taxonomy
from training.config.recipes import RECIPES
from training.data.datasets.open import open_split
from training.studies.training_speed import measure_speed
from training.transforms.training_set import TrainingSet

HELP = "measure how fast a recipe trains on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=sorted(RECIPES))
    parser.add_argument("data", nargs="+", type=Path, help="data sets")
    parser.add_argument("--steps", type=int, default=30, help="per measurement (default 30)")
    parser.add_argument("--batch-size", type=int, metavar="N", help="images per step")
    parser.add_argument("--input-size", metavar="HxW", help="of the images, in pixels")
    parser.add_argument("--num-workers", type=int, metavar="N", help="processes that load images")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="of the network")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change the recipe otherwise")


def run(chosen: argparse.Namespace) -> int:
    """Print the results as JSON."""
    asked = {"batch_size": chosen.batch_size, "num_workers": chosen.num_workers, "precision": chosen.precision}
    if chosen.input_size is not None:
        asked["input_size"] = chosen.input_size.replace("x", ",")
    values = [f"{name}={value}" for name, value in asked.items() if value is not None]
    config = apply_overrides(RECIPES[chosen.recipe](), [*values, *chosen.set])
    dataset, training, _ = open_split(chosen.data, get_taxonomy(config.model.taxonomy))
    metrics = measure_speed(config, TrainingSet(dataset, training, config), chosen.steps)
    print(json.dumps({"recipe": chosen.recipe, "images": len(training), **metrics}, indent=2, allow_nan=False))
    return 0
