"""`python -m export batch BUNDLE`: add the graph that takes several images at once, for CUDA.

OpenVINO is not given it: it is wrong on two images or more (docs/runtimes.md).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from export.batch_graph import batch_graph
from export.parity import Parity, compare_batch, image_input, synthetic_inputs
from model.canvases import CANVASES
from model.errors import UserError
from model.manifest import BATCH, GRAPH, SAMPLE, list_files, read_bundle


def main(arguments: list[str]) -> int:
    """Write the graph and print how it agrees with `parser.onnx`; 1 if it does not, 2 if the bundle is refused."""
    parser = argparse.ArgumentParser(prog="python -m export batch", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder that python -m export wrote")
    chosen = parser.parse_args(arguments)
    try:
        report = write_batch_graph(chosen.bundle)
    except (UserError, OSError) as error:
        print(f"python -m export batch: {error}", file=sys.stderr)
        return 2
    print(report)
    if not report.passed:
        print(f"{BATCH} is not written: another version exported the bundle, export it again", file=sys.stderr)
    return 0 if report.passed else 1


def write_batch_graph(bundle: Path) -> Parity:
    """Write `parser.batch.onnx` and list it in the manifest, unless its people are not those of `parser.onnx`.

    Raises BundleError, and InputError for a bundle that sees a canvas twice.
    """
    manifest = read_bundle(bundle)
    graph = batch_graph(bundle, "scatter").SerializeToString()
    size = CANVASES["fast"][0]
    sample = image_input(bundle / SAMPLE, size)
    report = compare_batch(graph, bundle / GRAPH, [*synthetic_inputs(size), sample[:, ::-1], sample])
    if report.passed:
        (bundle / BATCH).write_bytes(graph)
        list_files(bundle, manifest, BATCH)
    return report
