"""Runs the graph in OpenVINO on a CPU: the network in bf16 if the CPU supports it, the decoder always in f32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.cpu import supports_bf16
from model.openvino import ov, split_model
from service.runtimes.types import BackendError, Output


def network_precision(asked: str) -> str:
    """Return "f32" or "bf16" for "auto", "f32" or "bf16". Raises BackendError if bf16 is required and unsupported."""
    able = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") and supports_bf16()
    if asked == "bf16" and not able:
        raise BackendError(
            "HUMANPARSE_PRECISION=bf16 needs a CPU with AVX512-BF16 or AMX, which this one lacks: use auto or f32"
        )
    return "bf16" if able and asked != "f32" else "f32"


class OpenVinoBackend:
    """The graph compiled once, for canvases of any size.

    A graph compiled for each of five canvases would be 4 ms faster, but takes a gigabyte and half a minute to start.

    With `cut_at`, the names of the tensors where the network ends, the graph is compiled as two, because OpenVINO's
    bf16 moves pixels between people when it computes the decoder. Raises BackendError if a tensor is missing.
    """

    name = "openvino"

    def __init__(
        self,
        graph: Path,
        *,
        cut_at: Sequence[str] = (),
        precision: str = "f32",
        threads: int = 0,
    ) -> None:
        self.precision = precision
        core = ov.Core()
        options = {"PERFORMANCE_HINT": "LATENCY"}
        if threads:
            options["INFERENCE_NUM_THREADS"] = str(threads)
        model = core.read_model(graph)
        try:
            stages = zip(split_model(model, cut_at), (precision, "f32"), strict=True) if cut_at else [(model, "f32")]
        except ValueError as error:
            raise BackendError(str(error)) from error
        self._stages = [
            core.compile_model(stage, "CPU", {**options, "INFERENCE_PRECISION_HINT": p}).create_infer_request()
            for stage, p in stages
        ]

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> Output:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        tensors: dict[str, NDArray[Any]] = {"image": canvas[None].repeat(views, 0)}
        for stage in self._stages:
            wanted = {port.get_any_name(): tensors[port.get_any_name()] for port in stage.model_inputs}
            stage.infer(wanted, share_inputs=True)
            tensors |= {n: stage.get_tensor(p).data for p in stage.model_outputs for n in p.get_names()}
        return Output.first_of(tensors)
