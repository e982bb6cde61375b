"""Evaluate a checkpoint or bundle on held-out images."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from model.canvases import CANVASES
from model.errors import InputError
from training.data.datasets.open import open_dataset
from training.data.samples import Sample
from training.evaluation.error_analysis import RANKED_BY, case_writer, rank, write_case_grids
from training.evaluation.evaluate import choose, measure_images
from training.evaluation.image_metrics import compute_metrics
from training.evaluation.report import category_table, paper_table, table, true_masks_line, unreadable_images
from training.evaluation.true_masks import read_true_masks
from training.inference.predictions import Prediction
from training.inference.predictors import RUNTIMES, open_predictor

OPTIONS = ("detail", "runtime", "limit")  # that the metrics depend on, beside those with a name of a file
HELP = "measure a checkpoint or bundle on images held out of training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("data", nargs="+", type=Path, help="data sets")
    parser.add_argument("--detail", choices=list(CANVASES), default="fast", help="level of detail: canvas size")
    parser.add_argument("--decoder", nargs="*", default=[], metavar="NAME=VALUE", help="instead of a checkpoint's own")
    parser.add_argument("--runtime", choices=RUNTIMES, help=f"of a bundle (default: {RUNTIMES[0]})")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="every image: for sets that nothing was trained on")
    which.add_argument("--image-list", type=Path, metavar="LIST", help="images left out of training by such a list")
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread")
    parser.add_argument(
        "--true-masks", type=Path, metavar="FILE", help="COCO instances of these images: compare person masks with them"
    )
    parser.add_argument("--strict", action="store_true", help="stop at an image that cannot be read")
    parser.add_argument("--per-class", action="store_true", help="print the metrics of each part and joint too")
    parser.add_argument("--json", type=Path, help="write all metrics there")
    parser.add_argument("--vis-dir", type=Path, help=f"write best.jpg and worst.jpg into this folder, by {RANKED_BY}")
    parser.add_argument("--vis-all", action="store_true", help="with --vis-dir: each image as well")


def run(chosen: argparse.Namespace) -> int:
    """Print the tables, and write the files asked for."""
    if chosen.vis_all and chosen.vis_dir is None:
        raise InputError("--vis-all: say where with --vis-dir FOLDER")
    predictor = open_predictor(chosen.parser, chosen.detail, chosen.decoder, chosen.runtime or "")
    dataset = open_dataset(chosen.data, predictor.taxonomy)
    indices = choose(dataset, chosen.all, chosen.limit, chosen.image_list)
    true_masks = read_true_masks(chosen.true_masks) if chosen.true_masks else None
    draw = case_writer(chosen.vis_dir, predictor.taxonomy) if chosen.vis_all else None

    def show(sample: Sample, people: Prediction) -> None:
        if true_masks is not None:
            true_masks.show(sample, people)
        if draw is not None:
            draw(sample, people)

    measured = measure_images(predictor.parse, dataset, indices, predictor.scales, show, chosen.strict)
    report = {
        "command": _command(chosen),
        "parser": predictor.name,
        "kind": predictor.kind,
        "runtime": predictor.runtime,
        "taxonomy": predictor.taxonomy.name,
        "detail": chosen.detail,
        **compute_metrics(list(measured.metrics.values()), dataset.taxonomy),
        "true_masks": None if true_masks is None else true_masks.report(),
        "broken": measured.broken,
    }
    label = f"{predictor.name}, on {len(measured.metrics)} images of {' '.join(_names(chosen.data))}"
    sections = [paper_table(report, predictor.taxonomy.name, label), table(report)]
    if chosen.per_class:
        sections.append(category_table(report))
    if true_masks is not None:
        sections.append(true_masks_line(report["true_masks"]))
    print("\n\n".join(section for section in sections if section))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if chosen.vis_dir is not None:
        write_case_grids(chosen.vis_dir, rank(measured.metrics), predictor.parse, dataset, predictor.scales)
    if measured.broken:
        print(unreadable_images(report), file=sys.stderr)
    return 0


def _command(chosen: argparse.Namespace) -> str:
    """Return the command line that reproduces the metrics; folders by name only, because it is published."""
    options = "".join(f" --{name} {getattr(chosen, name)}" for name in OPTIONS if getattr(chosen, name))
    decoder = f" --decoder {' '.join(chosen.decoder)}" if chosen.decoder else ""
    names = " ".join(_names([chosen.parser, *chosen.data]))
    masks = f" --true-masks {chosen.true_masks.name}" if chosen.true_masks else ""
    which = " --all" if chosen.all else f" --image-list {chosen.image_list.name}" if chosen.image_list else ""
    return f"python -m training evaluate {names}{options}{decoder}{which}{masks}"


def _names(paths: list[Path]) -> list[str]:
    return [path.resolve().name for path in paths]
