"""Keypoint AP and mask IoU of a bundle on each runtime, by `python -m training evaluate`, which runs beside this."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

RUNTIMES = ("onnxruntime-f32", "openvino-f32", "openvino-bf16", "openvino-int8")  # of training's predictors


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which labelled images are measured."""
    parser.add_argument("--labels", type=Path, nargs="+", default=[], metavar="DATA", help="labelled data sets")
    parser.add_argument("--image-list", type=Path, metavar="LIST", help="of these, not the held-out images")
    parser.add_argument("--all", action="store_true", help="of these, every image: for sets never trained on")
    parser.add_argument("--limit", type=int, help="at most so many images, evenly spread")
    parser.add_argument("--detail", help="level of detail (default of the metrics: standard)")


def measure(bundle: Path, runtimes: Sequence[str], chosen: argparse.Namespace, folder: Path) -> list[Path]:
    """Write the metrics of each runtime that this machine has into `folder`; those that it lacks say why on stderr."""
    options = [value for name in ("image_list", "limit") if (given := getattr(chosen, name)) is not None
               for value in (f"--{name.replace('_', '-')}", str(given))]  # fmt: skip
    files = []
    for runtime in runtimes:
        file = folder / f"{runtime}.json"
        command = [sys.executable, "-m", "training", "evaluate", str(bundle), *map(str, chosen.labels)]
        command += ["--detail", chosen.detail or "standard", "--runtime", runtime, "--json", str(file), *options]
        command += ["--all"] if chosen.all else []
        if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0:
            files.append(file)
    return files
