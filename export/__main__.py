"""`python -m export CHECKPOINT BUNDLE`: make the folder that `humanparse serve` serves.

`python -m export tensorrt BUNDLE` adds an engine for this machine's GPU, `python -m export batch BUNDLE` the graph that
takes several images at once, `python -m export int8 BUNDLE --images FOLDER` the network in int8.
`python -m export parity BUNDLE [IMAGE...]` is `humanparse parity`, which compares the runtimes of this machine; with
`--labels DATA...` also by keypoint AP and mask IoU.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from export import batch, int8, tensorrt
from export.bundle import read_accuracy, write_bundle
from export.parity import compare_runtimes, image_input, synthetic_inputs
from export.task_metrics import RUNTIMES, add_arguments, measure
from model.canvases import CANVASES
from model.errors import UserError
from model.manifest import GRAPH


def main(arguments: list[str] | None = None) -> int:
    """Write a bundle and check that every runtime agrees with torch; exit status 1 if one does not."""
    arguments = sys.argv[1:] if arguments is None else arguments
    commands = {"tensorrt": tensorrt.main, "batch": batch.main, "int8": int8.main, "parity": _parity}
    if arguments and arguments[0] in commands:
        return commands[arguments[0]](arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="written by python -m training train")
    parser.add_argument("bundle", type=Path, help="folder to write")
    parser.add_argument("--name", default="default")
    parser.add_argument("--version", default="1")
    parser.add_argument("--card", type=Path, required=True, help="MODEL_CARD.md: data, terms, results, limitations")
    parser.add_argument("--sample", type=Path, required=True, help="image with people, kept in the bundle as a check")
    parser.add_argument("--data", required=True, help="what the weights were trained on, in a line")
    parser.add_argument("--weights-licence", required=True, help="terms of the weights, in a line")
    parser.add_argument("--accuracy", type=Path, help="written by python -m training evaluate --json")
    parser.add_argument("--decoder", nargs="*", default=[], metavar="NAME=VALUE", help="instead of the checkpoint's")
    parser.add_argument(
        "--images", "--photos", type=Path, nargs="*", default=[], help="more images for the comparison with torch"
    )
    chosen = parser.parse_args(arguments)
    try:
        exported = write_bundle(
            chosen.checkpoint,
            chosen.bundle,
            name=chosen.name,
            version=chosen.version,
            data=chosen.data,
            weights_licence=chosen.weights_licence,
            accuracy=read_accuracy(chosen.accuracy),
            card=chosen.card,
            sample=chosen.sample,
            decoder=chosen.decoder,
        )
    except (UserError, OSError) as error:
        print(f"python -m export: {error}", file=sys.stderr)
        return 2
    size = CANVASES["fast"][0]
    inputs = [*synthetic_inputs(size), *(image_input(path, size) for path in (chosen.sample, *chosen.images))]
    reports = compare_runtimes(exported, chosen.bundle / GRAPH, inputs)
    for report in reports:
        print(report)
    return 0 if all(report.passed for report in reports) else 1


def _parity(arguments: list[str]) -> int:
    """`humanparse parity` of the service's runtimes, which this package does not import."""
    parser = argparse.ArgumentParser(prog="python -m export parity", description=_parity.__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("images", nargs="*")
    add_arguments(parser)
    chosen = parser.parse_intermixed_args(arguments)
    command = [sys.executable, "-m", "service.cli", "parity", "--bundle", str(chosen.bundle), *chosen.images]
    command += ["--detail", chosen.detail] if chosen.detail else []
    with tempfile.TemporaryDirectory() as folder:
        if chosen.labels and (files := measure(chosen.bundle, RUNTIMES, chosen, Path(folder))):
            command += ["--accuracy", *map(str, files)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
