"""Evaluate a checkpoint or bundle on held-out images under perturbations."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from model.canvases import CANVASES
from model.errors import InputError
from training.data.datasets.open import open_dataset
from training.evaluation.evaluate import choose
from training.evaluation.perturbation_grid import GRID, write_perturbations
from training.evaluation.perturbations import PERTURBATIONS
from training.evaluation.report import robustness_table, unreadable_images
from training.evaluation.robustness import measure_robustness
from training.inference.predictors import open_predictor

HELP = "evaluate a checkpoint or bundle on images that are flipped, rotated, downscaled, darkened and compressed"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("parser", type=Path, metavar="CHECKPOINT|BUNDLE")
    parser.add_argument("data", nargs="+", type=Path, help="data sets")
    parser.add_argument("--detail", choices=list(CANVASES), default="fast", help="level of detail: canvas size")
    parser.add_argument("--all", action="store_true", help="every image: for sets that nothing was trained on")
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"of {', '.join(PERTURBATIONS)}; by default all")
    parser.add_argument("--json", type=Path, help="write all metrics there")
    parser.add_argument("--vis-dir", type=Path, help=f"write a few images in all perturbations there: {GRID}")


def run(chosen: argparse.Namespace) -> int:
    """Print the table, and write the files asked for."""
    names = list(PERTURBATIONS) if chosen.only is None else list(dict.fromkeys(chosen.only))
    unknown = [name for name in names if name not in PERTURBATIONS]
    if unknown:
        raise InputError(f"--only {unknown[0]}: no such perturbation; choose of {', '.join(PERTURBATIONS)}")
    predictor = open_predictor(chosen.parser, chosen.detail)
    dataset = open_dataset(chosen.data, predictor.taxonomy)
    indices = choose(dataset, chosen.all, chosen.limit)
    report = {
        "command": _command(chosen),
        "parser": predictor.name,
        "kind": predictor.kind,
        "taxonomy": predictor.taxonomy.name,
        "detail": chosen.detail,
        **measure_robustness(predictor, dataset, indices, names),
    }
    print(robustness_table(report))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if chosen.vis_dir is not None:
        shown = [index for index in indices if not dataset.records[index].negative]
        write_perturbations(chosen.vis_dir, predictor, dataset, shown or indices, names)
    if report["broken"]:
        print(unreadable_images(report), file=sys.stderr)
    return 0


def _command(chosen: argparse.Namespace) -> str:
    """Return the command line that reproduces the metrics; folders by name only, because it is published."""
    names = " ".join(path.resolve().name for path in (chosen.parser, *chosen.data))
    limit = f" --limit {chosen.limit}" * (chosen.limit is not None)
    only = f" --only {' '.join(chosen.only or ())}" * (chosen.only is not None)
    return f"python -m training robustness {names} --detail {chosen.detail}{limit}{' --all' * chosen.all}{only}"
