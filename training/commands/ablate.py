"""Train rows of the paper's Tables 4 and 5, or variants of your own, alike, and compare them."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.canvases import SINGLE_PASS
from model.config import apply_overrides
from model.errors import InputError
from model.taxonomy import get_taxonomy
from training.config.recipes import ABLATIONS, RECIPES
from training.data.datasets.open import open_dataset, open_split
from training.studies.ablation import MeasuredOn, plan, run_ablation, tables
from training.studies.variant_runs import run_variant, variant_tables
from training.studies.variants import Budget, read_variants
from training.transforms.training_set import TrainingSet

HELP = "train variants of the method alike and compare them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", choices=sorted(set(RECIPES) - set(ABLATIONS)), help="what all rows have in common")
    parser.add_argument("data", nargs="+", type=Path, help="data sets; held-out images are for measuring")
    parser.add_argument("--test-data", type=Path, help="a data set for measuring only, as a whole")
    parser.add_argument("--out", required=True, type=Path, help="a folder for the runs; finished ones are kept")
    parser.add_argument("--backbone-weights", type=Path, help="public checkpoint of the backbone")
    parser.add_argument("--variants", type=Path, metavar="FILE", help="a TOML table for each: see docs/ablations.md")
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=list(ABLATIONS),
        metavar="ROW",
        help="rows of Tables 4 and 5; without --variants: all",
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--steps", type=int, help="instead of the recipe's")
    budget.add_argument("--minutes", type=float, help="of training, for each variant and seed, instead of equal steps")
    parser.add_argument("--detail", choices=SINGLE_PASS, help="what variants are measured at, not as trained")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="change the recipe")


def run(chosen: argparse.Namespace) -> int:
    """Train the runs that are not finished; print the tables of all that are."""
    rows = chosen.rows or ([] if chosen.variants else list(ABLATIONS))
    if rows and (chosen.minutes or chosen.detail):
        raise InputError("--minutes and --detail are for --variants: rows of the tables take equal steps, as trained")
    if chosen.minutes is not None and chosen.minutes <= 0:
        raise InputError(f"--minutes {chosen.minutes}: give each variant some time to train")
    base = apply_overrides(RECIPES[chosen.recipe](), chosen.set)
    variants = [] if chosen.variants is None else read_variants(chosen.variants, base, chosen.backbone_weights)
    taxonomy = get_taxonomy(base.model.taxonomy)
    dataset, training, validation = open_split(chosen.data, taxonomy)
    sets: MeasuredOn = {f"{len(validation)} held-out images": (dataset, validation)} if validation else {}
    if chosen.test_data is not None:
        exact = open_dataset([chosen.test_data], taxonomy)
        sets[f"{len(exact)} images of {chosen.test_data.resolve().name}"] = (exact, range(len(exact)))
    for job in plan(base, rows, chosen.seeds):
        run_ablation(
            job, TrainingSet(dataset, training, job.config), sets, chosen.out, chosen.backbone_weights, chosen.steps
        )
    budget, failed = Budget(chosen.steps, chosen.minutes), []
    for seed in chosen.seeds:
        for variant in variants:
            config = variant.config(base, seed)
            try:
                data = TrainingSet(dataset, training, config)
                run_variant(variant, config, data, sets, chosen.out, budget, chosen.detail)
            except InputError as error:  # one that cannot be trained, or diverges, must not stop the others
                failed.append(f"variant {variant.name}, seed {seed}: {error}")
    if rows:
        print(tables(chosen.out))
    if variants:
        print(variant_tables(chosen.out, variants))
    for problem in failed:
        print(problem, file=sys.stderr)
    return 2 if failed else 0
