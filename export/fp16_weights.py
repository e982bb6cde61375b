"""Stores weights as float16 behind a Cast: half the file, the same float32 arithmetic.

Runtimes fold the Cast when they load the graph. `round_weights` rounds the torch module first, so that the graph
computes exactly what the module does.
"""

from __future__ import annotations

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

SMALLEST = 256  # elements: biases and constants are not worth a node


@torch.no_grad()
def round_weights(module: nn.Module) -> None:
    """Round, in place, every parameter that `cast_initializers` will store as float16."""
    for parameter in module.parameters():
        if parameter.numel() >= SMALLEST:
            parameter.copy_(parameter.half().float())


def cast_initializers(model: onnx.ModelProto) -> None:
    """Replace, in place, each float32 initializer that float16 holds exactly by a float16 one and a Cast.

    Others (constants that the exporter folded, small tensors) stay as they are: nothing changes its value here.
    """
    graph = model.graph
    casts = []
    for initializer in graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        value = numpy_helper.to_array(initializer)
        with np.errstate(over="ignore"):
            half = value.astype(np.float16)
        if value.size < SMALLEST or not np.array_equal(half.astype(np.float32), value):
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(half, f"{name}_f16"))
        casts.append(helper.make_node("Cast", [initializer.name], [name], name=f"{name}_f32", to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.node.insert(0, cast)


def fold_casts(model: onnx.ModelProto) -> None:
    """Undo `cast_initializers`, in place: every such initializer is float32 again, without a Cast."""
    graph = model.graph
    stored = {initializer.name: initializer for initializer in graph.initializer}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]
    for cast in casts:
        initializer = stored[cast.input[0]]
        value = numpy_helper.to_array(initializer).astype(np.float32)
        initializer.CopyFrom(numpy_helper.from_array(value, cast.output[0]))
        graph.node.remove(cast)
