"""What an inference computes, and what the processor could: a large matrix product in the same library."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np

from model.canvases import best_canvas
from model.manifest import GRAPH, Size, read_bundle
from model.openvino import core, ov

SIDE = 2048  # of the matrices
REPETITIONS = 7


def network_gigaflop(bundle: Path, detail: str, size_image: Size) -> float:
    """Return the floating-point operations of the network for an image at a level of detail, in units of 10^9.

    Convolutions and matrix products count two for each product; what else a graph does is left out.
    """
    manifest = read_bundle(bundle)
    total = 0.0
    for name in manifest.scales_of(detail):
        model = core.read_model(bundle / GRAPH)
        size = best_canvas(size_image, manifest.canvases[name])
        model.reshape([manifest.views_at(name), *size, 3])
        total += sum(_operations(op) for op in model.get_ordered_ops())
    return total / 1e9


def peak_gigaflops(precision: str) -> float:
    """Return 10^9 floating-point operations a second of a matrix product, "f32" or "bf16", at its best of a few."""
    left, right = (ov.opset13.parameter([SIDE, SIDE], np.float32) for _ in range(2))
    product = ov.Model([ov.opset13.matmul(left, right, False, False)], [left, right])
    options = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    request = core.compile_model(product, "CPU", options).create_infer_request()
    matrices = [np.ones((SIDE, SIDE), np.float32)] * 2
    best = math.inf
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        request.infer(matrices, share_inputs=True)
        best = min(best, time.perf_counter() - start)
    return 2 * SIDE**3 / best / 1e9


def _operations(op: ov.Node) -> float:
    kind = op.get_type_name()
    if kind in ("Convolution", "GroupConvolution"):
        weights = list(op.input_value(1).get_shape())  # [out, in, ...] or [groups, out, in, ...]
        products: int = math.prod(weights[-3:])
    elif kind == "MatMul":
        products = int(list(op.input_value(0).get_shape())[-2 if op.get_attributes()["transpose_a"] else -1])
    else:
        return 0.0
    outputs: int = math.prod(op.output(0).get_shape())
    return 2.0 * products * outputs
