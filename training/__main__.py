"""`python -m training`: train on labelled photos, evaluate what was trained."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from model.canvases import CANVASES
from model.checkpoint import CheckpointError
from model.manifest import BundleError
from model.taxonomy import Taxonomy, get_taxonomy
from training.config import RECIPES
from training.evaluate import PhotoPeople, evaluate, table
from training.folders import FolderDataset, split
from training.loop import train
from training.pictures import contact_sheet, draw_people
from training.predictors import open_predictor
from training.samples import DatasetError, Sample
from training.targets import TrainingSet

PREVIEWED = 8  # photos on the picture of a run
DATA_HELP = "folders with images/, parts/, people/ and annotations.json"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 2 where data, checkpoint or arguments are unusable."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_train(commands.add_parser("train", help="train a recipe; run it again to continue where it was stopped"))
    _add_evaluate(commands.add_parser("evaluate", help="measure a checkpoint or bundle on photos held out of training"))
    chosen = parser.parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = chosen.run_command
        return run(chosen)
    except (DatasetError, CheckpointError, BundleError, ValueError) as error:
        print(f"python -m training: {error}", file=sys.stderr)
        return 2


def _add_train(run: argparse.ArgumentParser) -> None:
    run.set_defaults(run_command=_train)
    run.add_argument("recipe", choices=sorted(RECIPES))
    run.add_argument("data", nargs="+", type=Path, help=DATA_HELP)
    run.add_argument("--run", required=True, type=Path, help="folder for checkpoint, log.csv and pictures")
    run.add_argument("--pretrained", type=Path, help="public checkpoint of the backbone")
    run.add_argument("--start", type=Path, help="checkpoint of an earlier run to start from")
    run.add_argument("--steps", type=int, help="instead of the recipe's number of steps")


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


def _add_evaluate(run: argparse.ArgumentParser) -> None:
    run.set_defaults(run_command=_evaluate)
    run.add_argument("parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json")
    run.add_argument("data", nargs="+", type=Path, help=DATA_HELP)
    run.add_argument("--detail", choices=sorted(CANVASES), default="fast", help="how large photos are shown to it")
    run.add_argument("--decoder", nargs="*", default=[], metavar="NAME=VALUE", help="instead of a checkpoint's own")
    run.add_argument("--all", action="store_true", help="every photo of the folders: sets that nothing was trained on")
    run.add_argument("--limit", type=int, help="at most so many photos, evenly spread")
    run.add_argument("--json", type=Path, help="write the figures there")
    run.add_argument("--pictures", type=Path, help="write labels and prediction of each photo into this folder")


def _evaluate(chosen: argparse.Namespace) -> int:
    predictor = open_predictor(chosen.parser, chosen.detail, chosen.decoder)
    photos = FolderDataset(chosen.data, predictor.taxonomy)
    indices = list(range(len(photos))) if chosen.all else split(photos)[1]
    if chosen.limit is not None and chosen.limit < 1:
        raise ValueError(f"--limit {chosen.limit}: take at least one photo")
    if chosen.limit is not None and chosen.limit < len(indices):
        indices = [indices[i] for i in np.linspace(0, len(indices) - 1, chosen.limit).round().astype(int)]
    if not indices:
        raise DatasetError("no photos to evaluate: name folders with real photos, or take rendered ones with --all")
    show = None if chosen.pictures is None else _painter(chosen.pictures, predictor.taxonomy)
    figures = evaluate(predictor.parse, photos, indices, predictor.canvases, show)
    names = " ".join(path.resolve().name for path in (chosen.parser, *chosen.data))  # not where they lie: it is shared
    options = "".join(f" --{name} {getattr(chosen, name)}" for name in ("detail", "limit") if getattr(chosen, name))
    decoder = f" --decoder {' '.join(chosen.decoder)}" if chosen.decoder else ""
    report = {
        "command": f"python -m training evaluate {names}{options}{decoder}{' --all' * chosen.all}",
        "parser": predictor.name,
        "kind": predictor.kind,
        "taxonomy": predictor.taxonomy.name,
        "detail": chosen.detail,
        **figures,
    }
    print(table(report))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return 0


def _painter(folder: Path, taxonomy: Taxonomy) -> Callable[[Sample, PhotoPeople], None]:
    """Writes, for each photo, its labels beside the prediction."""
    folder.mkdir(parents=True, exist_ok=True)

    def paint(sample: Sample, people: PhotoPeople) -> None:
        labels = draw_people(sample.image, sample.parts, sample.people, sample.keypoints, taxonomy)
        found = draw_people(sample.image, people.part_map, people.person_map, people.keypoints, taxonomy)
        Image.fromarray(contact_sheet([labels, found], columns=2)).save(folder / f"{sample.key}.jpg", quality=90)

    return paint


if __name__ == "__main__":
    sys.exit(main())
