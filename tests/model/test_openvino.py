"""A graph in another form computes the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.decoder.decode import People
from model.openvino import core, divide_thin_convolutions, ov, split_model
from tests.bundles import HEADS, figure_bundle, figure_image


def test_a_graph_splits_at_its_heads(tmp_path: Path) -> None:
    path = figure_bundle(tmp_path) / "parser.onnx"
    network, decoder = (core.compile_model(m, "CPU") for m in split_model(core.read_model(path), HEADS))
    canvas = figure_image((64, 96), (1, 2, (5, 8, 30, 50)), (2, 4, (40, 10, 60, 60)))[None]
    heads = dict(zip(HEADS, network([canvas]).values(), strict=True))
    whole, halves = core.compile_model(core.read_model(path), "CPU")([canvas]), decoder({"image": canvas, **heads})
    for name in People._fields:
        np.testing.assert_array_equal(halves[name], whole[name])
    with pytest.raises(ValueError, match="no tensor pink to cut at"):
        split_model(core.read_model(path), ["red", "pink"])


def test_a_convolution_to_few_maps_is_divided() -> None:
    draw, op = np.random.default_rng(0), ov.opset13
    image = op.parameter([1, 5, -1, 12], ov.Type.f32)
    filters = op.constant(draw.normal(size=(2, 5, 3, 5)).astype(np.float32))
    layer = op.convolution(image, filters, [1, 1], [1, 4], [0, 4], [1, 2])
    model = ov.Model([op.result(layer)], [image])
    values = draw.normal(size=(1, 5, 9, 12)).astype(np.float32)
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    expected = core.compile_model(model, "CPU", exact)([values])[0]
    divide_thin_convolutions(model)
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert (kinds.count("Convolution"), kinds.count("GroupConvolution")) == (2, 1)
    np.testing.assert_allclose(core.compile_model(model, "CPU", exact)([values])[0], expected, atol=1e-4)
    divide_thin_convolutions(model)  # what is divided stays as it is
    assert [node.get_type_name() for node in model.get_ordered_ops()] == kinds


def test_the_signal_stack_outlives_what_was_compiled() -> None:
    """A core that ended in another thread left this one with an unmapped stack: the next signal was the last."""
    script = """
import ctypes, gc, threading
from model.openvino import core, ov

class Stack(ctypes.Structure):
    _fields_ = [("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t)]

inputs = ov.opset13.parameter([1, 8], ov.Type.f32)
held = [core.compile_model(ov.Model([ov.opset13.relu(inputs)], [inputs]), "CPU")]
thread = threading.Thread(target=lambda: (held.clear(), gc.collect()))
thread.start()
thread.join()
stack = Stack()
ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack))
if stack.start:
    ctypes.memset(stack.start, 0, stack.size)
"""
    subprocess.run([sys.executable, "-c", script], check=True)
