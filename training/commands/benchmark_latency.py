"""Measure the latency of a checkpoint or bundle against the number of people, as in the paper's Fig. 5."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from model.canvases import SINGLE_PASS
from model.errors import InputError
from model.manifest import MANIFEST, SAMPLE
from training.studies.latency.analysis import analyse
from training.studies.latency.plot import plot
from training.studies.latency.stages import OpenVinoStages, Stages, TorchStages
from training.studies.latency.synthetic_scenes import cut_person

HELP = "time a checkpoint or bundle against the number of people in an image"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "parser", type=Path, metavar="CHECKPOINT|BUNDLE", help="a bundle is a folder with manifest.json"
    )
    parser.add_argument("--image", "--photo", type=Path, help="whose largest person is tiled (a bundle: its sample)")
    parser.add_argument("--people", nargs="+", type=int, default=[1, 2, 5, 10, 20, 30], help="how many, each in turn")
    parser.add_argument("--detail", choices=SINGLE_PASS, default="fast", help="level of detail: canvas size")
    parser.add_argument("--rounds", type=int, default=40, help="measurements of each time (default 40)")
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of a checkpoint's network"
    )
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--plot", type=Path, help="draw them there, as PNG, SVG or PDF")


def run(chosen: argparse.Namespace) -> int:
    """Print the table, and write the files asked for."""
    stages, image = _open(chosen)
    if chosen.detail not in stages.canvases:
        raise InputError(f"no level of detail {chosen.detail!r}: choose one of {', '.join(stages.canvases)}")
    with torch.no_grad():
        person = cut_person(image, stages.parse, stages.canvases[chosen.detail], stages.taxonomy)
        metrics = analyse(stages, person, chosen.people, chosen.detail, chosen.rounds)
    report = {
        "parser": stages.name,
        "kind": stages.kind,
        "taxonomy": stages.taxonomy.name,
        "runtime": stages.runtime,
        "precision": stages.precision,
        "machine": stages.machine,
        "image": image.name,
        **metrics,
    }
    print(table(report))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    if chosen.plot is not None:
        plot(report, chosen.plot)
    return 0


def table(report: dict[str, Any]) -> str:
    """Format the medians as Markdown, with the ratio of most to fewest people."""
    times = report["milliseconds"]
    columns = ["people", "found", "found in labels", *(name.replace("_", " ") for name in times)]
    rows = [
        [str(n), str(report["found"]["in_image"][n]), str(report["found"]["in_labels"][n])]
        + [f"{times[name][n]['median']:.1f}" for name in times]
        for n in report["people"]
    ]
    growth = ["ratio", "", "", *(f"{report['ratio'][name]['value']:.3f}" for name in times)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [columns, ["---:"] * len(columns), *rows, growth])


def _open(chosen: argparse.Namespace) -> tuple[Stages, Path]:
    path: Path = chosen.parser
    if path.is_dir() or path.name == MANIFEST:
        folder = path if path.is_dir() else path.parent
        if chosen.precision != "float32":
            raise InputError(f"{path} is timed in float32: --precision is for checkpoints")
        return OpenVinoStages(folder), chosen.image or folder / SAMPLE
    if chosen.image is None:
        raise InputError(f"{path} is a checkpoint: name an image of a person with --image")
    return TorchStages(path, chosen.precision), chosen.image
