"""Train the rows of the paper's Tables 4 and 5 alike, and compare them."""

from __future__ import annotations

import argparse
from pathlib import Path

from model.config import with_values
from model.taxonomy import get_taxonomy
from training.ablation import MeasuredOn, finish, plan, tables
from training.datasets.open import open_dataset, open_split
from training.recipes import ABLATIONS, RECIPES
from training.targets import TrainingSet

HELP = "train variants of the method alike and compare them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=sorted(set(RECIPES) - set(ABLATIONS)), help="what all rows have in common")
    parser.add_argument("data", nargs="+", type=Path, help="data sets; held-out photos are measured on")
    parser.add_argument("--exact", type=Path, help="a data set that is only measured on, whole")
    parser.add_argument("--out", required=True, type=Path, help="a folder for the runs; finished ones are left")
    parser.add_argument("--pretrained", type=Path, help="public checkpoint of the backbone")
    parser.add_argument("--rows", nargs="+", choices=list(ABLATIONS), default=list(ABLATIONS), metavar="ROW")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change the recipe")


def run(chosen: argparse.Namespace) -> int:
    """Train what is not yet trained; print the tables of all that is."""
    base = with_values(RECIPES[chosen.recipe](), chosen.set)
    taxonomy = get_taxonomy(base.model.taxonomy)
    photos, training, validation = open_split(chosen.data, taxonomy)
    sets: MeasuredOn = {f"{len(validation)} held-out photos": (photos, validation)} if validation else {}
    if chosen.exact is not None:
        exact = open_dataset([chosen.exact], taxonomy)
        sets[f"{len(exact)} photos of {chosen.exact.resolve().name}"] = (exact, range(len(exact)))
    for job in plan(base, chosen.rows, chosen.seeds):
        finish(job, TrainingSet(photos, training, job.config), sets, chosen.out, chosen.pretrained, chosen.steps)
    print(tables(chosen.out))
    return 0
