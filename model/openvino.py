"""Imports OpenVINO without its usage reports, and runs a graph in two: network and decoder. Torch-free.

Every other module takes `ov` from here: on import, OpenVINO sends an id, the OS and the version to an analytics host,
and keeps the id in the home folder. It does without its telemetry package and its converter of models where they are
missing, so this module hides both, whatever the environment says. Without the converter the import takes half as long.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from model.cpu import supports_bf16
from model.manifest import INT8

for name in ("openvino_telemetry", "openvino.tools.ovc"):
    sys.modules[name] = None  # type: ignore[assignment]

import numpy as np  # noqa: E402
import openvino as ov  # noqa: E402

__all__ = ["Halves", "core", "divide_thin_convolutions", "ov", "read_halves", "split_model"]

# The only one of a process, which is never given up. A core's CPU plugin gives the thread that first compiles a signal
# stack, and unmaps it at its end: if that comes in another thread, the next signal of the first one is fatal.
core = ov.Core()

THIN = 4  # outputs


def split_model(model: ov.Model, names: Sequence[str]) -> tuple[ov.Model, ov.Model]:
    """A graph as two: from its inputs to the named tensors, and from them (and the inputs) to its outputs.

    Takes `model` apart: it cannot be used afterwards. Raises ValueError for a name that is no tensor.
    """
    tensors = {n: out for op in model.get_ordered_ops() for out in op.outputs() for n in out.get_names()}
    if unknown := [n for n in names if n not in tensors]:
        raise ValueError(f"parser.onnx has no tensor {', '.join(unknown)} to cut at: export the bundle again")
    inputs, ends = model.get_parameters(), [tensors[n] for n in names]
    starts = []
    for name, end in zip(names, ends, strict=True):
        start = ov.opset13.parameter(end.get_partial_shape(), end.get_element_type())
        start.output(0).set_names({name})
        for reader in end.get_target_inputs():
            reader.replace_source_output(start.output(0))
        starts.append(start)
    decoder = ov.Model(model.get_results(), [*inputs, *starts], "decoder")
    network = ov.Model([ov.opset13.result(end) for end in ends], inputs, "network")
    return network, decoder


def divide_thin_convolutions(model: ov.Model) -> None:
    """Compute convolutions of several cells to few maps as a map for each weight of a filter, shifted and summed.

    The sum is the same but for rounding. OpenVINO computes 16 outputs at a time: a 3x3 filter of 128 channels to 2 maps
    takes 5 times as long as 128 channels to 18 maps, cell by cell, and what follows on these.
    """
    for layer in model.get_ordered_ops():
        if layer.get_type_name() != "Convolution" or list(layer.get_strides()) != [1, 1]:
            continue
        outputs, channels, height, width = layer.input_value(1).get_shape()
        maps = outputs * height * width
        quantized = layer.input_value(0).get_node().get_type_name() == "FakeQuantize"  # it is fast as it is
        if outputs > THIN or height * width == 1 or quantized:
            continue
        weights = ov.opset13.transpose(layer.input_value(1), ov.opset13.constant([2, 3, 0, 1]))
        weights = ov.opset13.reshape(weights, ov.opset13.constant([maps, channels, 1, 1]), False)
        shifts = np.eye(height * width, dtype=np.float32).repeat(outputs, 0).reshape(maps, 1, 1, height, width)
        sums = np.tile(np.eye(outputs, dtype=np.float32), height * width).reshape(outputs, maps, 1, 1)
        one, none = [1, 1], [0, 0]
        of_weights = ov.opset13.convolution(layer.input_value(0), weights, one, none, none, one)
        padding, dilations = (list(layer.get_pads_begin()), list(layer.get_pads_end())), list(layer.get_dilations())
        shifted = ov.opset13.group_convolution(of_weights, ov.opset13.constant(shifts), one, *padding, dilations)
        total = ov.opset13.convolution(shifted, ov.opset13.constant(sums), one, none, none, one)
        total.output(0).set_names(layer.output(0).get_names())
        layer.output(0).replace(total.output(0))


def read_halves(graph: Path, names: Sequence[str], precision: str) -> tuple[ov.Model, ov.Model, str]:
    """The network and the decoder of a bundle's graph, cut at `names`, and what to compute the network in.

    In "int8" the network is the one that `python -m export int8` wrote beside the graph; the operators that it leaves
    in floating point are computed in bf16 where the CPU has it. Raises ValueError for a name that is no tensor.
    """
    network, decoder = split_model(core.read_model(graph), names)
    if precision == "int8":
        network, precision = core.read_model(graph.with_name(INT8)), "bf16" if supports_bf16() else "f32"
    divide_thin_convolutions(network)
    return network, decoder, precision


class Halves:
    """A bundle's graph on the CPU for canvases of any size: network in a precision of its own, decoder in f32."""

    def __init__(self, graph: Path, names: Sequence[str], precision: str) -> None:
        network, decoder, hint = read_halves(graph, names, precision)
        self._network = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        self._decoder = core.compile_model(decoder, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def maps(self, views: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The network's maps of a canvas, uint8 [V, H, W, 3], by name."""
        return _run(self._network, {"image": views})

    def people(self, views: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """The graph's outputs, by name."""
        return _run(self._decoder, {"image": views, **self.maps(views)})


def _run(model: ov.CompiledModel, tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    ports = enumerate(model.inputs)
    found = model({i: tensors[name] for i, port in ports for name in port.get_names() if name in tensors})
    return {name: value for port, value in found.items() for name in port.get_names()}
