"""`python -m export int8 BUNDLE --images FOLDER`: add the network in int8, and say what that costs.

The convolutions that yield features are computed in int8; those that yield maps are not, nor is anything that reckons
with coordinates, nor the decoder, nor a backbone that predicts poses itself: in int8 it cost 0.04 of keypoint AP.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from tqdm import tqdm

from export.parity import image_input
from export.task_metrics import add_arguments, measure
from model.agreement import accuracy_table, compare, summary
from model.backbones.build import build_backbone
from model.canvases import best_canvas
from model.cpu import cpu_name, supports_bf16
from model.errors import InputError, UserError
from model.manifest import GRAPH, INT8, Manifest, list_files, read_bundle
from model.openvino import Halves, core, ov, split_model
from model.raw_prediction import RawPrediction

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".avif")
MOST = 330  # images; NNCF's own default is 300 to calibrate on
LEAST = 10
APART = 10  # every tenth image is not calibrated on, but compared
REPETITIONS = 15
CONVOLUTIONS = ("Convolution", "GroupConvolution")
NOT_COMPUTED = ("Constant", "Parameter", "Result")

Canvas = NDArray[np.uint8]  # [H, W, 3]


def main(arguments: list[str]) -> int:
    """Write the network beside the graph and print its cost; 2 if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m export int8", description=__doc__)
    parser.add_argument("bundle", type=Path, help="folder that python -m export wrote")
    parser.add_argument("--images", "--photos", type=Path, required=True, help="folder of images like those to come")
    add_arguments(parser)
    chosen = parser.parse_args(arguments)
    try:
        nncf = _nncf()
        manifest = _unquantized(chosen.bundle)
        paths = find_images(chosen.images)
        calibration = canvases([path for i, path in enumerate(paths) if i % APART], manifest)
        write_network(nncf, chosen.bundle, manifest, calibration)
        apart = canvases(paths[::APART], manifest)
        print(cost(chosen.bundle, manifest, apart, len(calibration)))
        if chosen.labels:
            with tempfile.TemporaryDirectory() as folder:
                precisions = ("f32", "bf16", "int8")
                files = measure(chosen.bundle, [f"openvino-{name}" for name in precisions], chosen, Path(folder))
                print(accuracy_table([json.loads(file.read_text(encoding="utf-8")) for file in files]))
    except (UserError, OSError) as error:
        print(f"python -m export int8: {error}", file=sys.stderr)
        return 2
    return 0


def find_images(folder: Path) -> list[Path]:
    """At most `MOST` images of a folder, evenly spread. Raises InputError for fewer than `LEAST`."""
    found = sorted(path for path in folder.glob("*") if path.suffix.lower() in ENDINGS)
    if len(found) < LEAST:
        raise InputError(
            f"--images {folder} has {len(found)} images ({' '.join(ENDINGS)}): name a folder of {LEAST} or more, "
            "best 300, like those that the service will get"
        )
    return [found[i] for i in np.linspace(0, len(found) - 1, min(MOST, len(found))).astype(int)]


def canvases(paths: Sequence[Path], manifest: Manifest) -> list[Canvas]:
    """The images, each at one level of detail in turn."""
    sizes = cycle(canvases for name, canvases in manifest.canvases.items() if name not in manifest.scales)
    found = []
    for path, choice in zip(paths, sizes, strict=False):
        with Image.open(path) as image:
            size = (image.height, image.width)
        found.append(image_input(path, best_canvas(size, choice)))
    return found


def write_network(nncf: Any, bundle: Path, manifest: Manifest, calibration: Sequence[Canvas]) -> None:
    """Calibrate the network on canvases, write it beside the graph and list it in the manifest."""
    network, _ = split_model(core.read_model(bundle / GRAPH), manifest.decoder_inputs)
    nncf.set_log_level(logging.ERROR)
    network = network.clone()  # whose image has no readers in the decoder
    quantized = nncf.quantize(
        network,
        nncf.Dataset([canvas[None] for canvas in calibration]),
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,  # symmetric weights; activations as they come
        ignored_scope=nncf.IgnoredScope(names=kept_in_float(network, poses_of_backbone(bundle, manifest))),
    )
    ov.save_model(quantized, bundle / INT8)
    list_files(bundle, manifest, INT8, Path(INT8).with_suffix(".bin").name)


def poses_of_backbone(bundle: Path, manifest: Manifest) -> set[str]:
    """Names of the convolutions of a backbone that predicts poses (`model.pose_prior`): the first in the graph."""
    if not manifest.model.pose_prior:
        return set()
    count = sum(isinstance(module, nn.Conv2d) for module in build_backbone(manifest.model).modules())
    nodes = onnx.load(bundle / GRAPH, load_external_data=False).graph.node
    return {node.name for node in [node for node in nodes if node.op_type == "Conv"][:count]}


def kept_in_float(network: ov.Model, others: Collection[str] = ()) -> list[str]:
    """Names of the operators that are not quantized: all but convolutions to features, and of these the `others`.

    A convolution to a map is one from which an output is reached through no other 1x1 or larger one, and whose channels
    are no more than the widest map's. Where a field warps features (`model.heads.warp`), both are reached; features
    are wider.
    """
    outputs = [result.input_value(0) for result in network.get_results()]
    widest = max(math.prod(d.get_length() for d in list(o.get_partial_shape())[1:-2]) for o in outputs)
    reached, waiting = set[str](), outputs
    while waiting:
        op = waiting.pop().get_node()
        if op.get_friendly_name() not in reached:
            reached.add(op.get_friendly_name())
            if op.get_type_name() != "Convolution":  # depthwise ones only spread a map
                waiting += [port.get_source_output() for port in op.inputs()]

    def kept(op: ov.Node) -> bool:
        if op.get_type_name() not in CONVOLUTIONS:
            return True
        if op.get_friendly_name().partition("/")[0] in others:  # OpenVINO adds "/WithoutBiases"
            return True
        return op.get_friendly_name() in reached and op.get_output_partial_shape(0)[1].get_length() <= widest

    computed = (op for op in network.get_ordered_ops() if op.get_type_name() not in NOT_COMPUTED)
    return [op.get_friendly_name() for op in computed if kept(op)]


def cost(bundle: Path, manifest: Manifest, apart: Sequence[Canvas], calibrated: int) -> str:
    """What int8 changes on canvases that were not calibrated on, and how long the network takes."""
    precisions = ["f32", *(["bf16"] if supports_bf16() else []), "int8"]
    runs = {name: Halves(bundle / GRAPH, manifest.decoder_inputs, name) for name in precisions}
    expected = [RawPrediction.first_of(runs["f32"].people(canvas[None])) for canvas in apart]
    lines = [
        f"{bundle / INT8}: calibrated on {calibrated} images; run it with HUMANPARSE_PRECISION=int8",
        f"On {len(apart)} other images, against f32 (OpenVINO, {cpu_name()}):",
    ]
    for name in precisions[1:]:
        found = [RawPrediction.first_of(runs[name].people(canvas[None])) for canvas in tqdm(apart, desc=name)]
        far = summary([compare(one, other) for one, other in zip(expected, found, strict=True)])
        people = ", ".join(f"{count} {what}" for what, count in far["people"].items())
        lines.append(
            f"  {name}: same part on {_share(far['same_part'])} and same person on {_share(far['same_person'])} of the "
            f"pixels of people; people: {people}; joints {far['keypoints']['mean_px']} px apart"
        )
    canvas = max(apart, key=lambda one: one.size)[None]
    times: dict[str, list[float]] = {name: [] for name in precisions}
    for _ in range(REPETITIONS):
        for name, run in runs.items():  # in turns: the machine may be busy
            start = time.perf_counter()
            run.maps(canvas)
            times[name].append(time.perf_counter() - start)
    shown = ", ".join(f"{name} {statistics.median(taken) * 1e3:.1f} ms" for name, taken in times.items())
    return "\n".join([*lines, f"The network on a canvas of {canvas.shape[1]} x {canvas.shape[2]}: {shown} (median)"])


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _unquantized(bundle: Path) -> Manifest:
    manifest = read_bundle(bundle)
    if INT8 in manifest.sha256:
        raise InputError(f"{bundle} has {INT8} already: export the bundle again to calibrate it on other images")
    return manifest


def _nncf() -> Any:
    # Its usage reports go the way of OpenVINO's: `model.openvino` hides the package that would send them.
    try:
        import nncf
    except ImportError:
        raise InputError("NNCF is not installed: pip install 'humanparse[int8]'") from None
    return nncf
