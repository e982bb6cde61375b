"""Imports OpenVINO without its usage reports, and splits a graph in two: network and decoder. Torch-free.

Every other module takes `ov` from here: on import, OpenVINO sends an id, the OS and the version to an analytics host,
and keeps the id in the home folder. If its telemetry package is missing it uses a stub instead, so this module hides
the package, whatever the environment says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino as ov  # noqa: E402

__all__ = ["ov", "split_model"]


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
