"""Runs the graph in ONNX Runtime on a CPU, and opens its sessions for the other providers."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.raw_prediction import RawPrediction
from service.runtimes.types import BackendError

CPU = "CPUExecutionProvider"
ERRORS = 3  # severity from which ONNX Runtime writes to stderr


class OnnxRuntimeBackend:
    """A session on the CPU, in f32. Raises BackendError if ONNX Runtime is not installed."""

    name, precision, parallel = "onnxruntime", "f32", 1

    def __init__(self, graph: Path, threads: int = 0) -> None:
        self._session = open_session(graph, [CPU], threads)
        self._outputs = [output.name for output in self._session.get_outputs()]

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        values = self._session.run(self._outputs, {"image": canvas[None].repeat(views, 0)})
        return RawPrediction.first_of(dict(zip(self._outputs, values, strict=True)))


def open_session(graph: Path, providers: Sequence[Any], threads: int = 0) -> Any:
    """Return an `InferenceSession` on these providers, the first of which it really uses.

    Raises BackendError if ONNX Runtime is not installed, or fell back to a later provider.
    """
    try:
        from model.onnxruntime import ort
    except ImportError as error:
        raise BackendError("ONNX Runtime is not installed: pip install onnxruntime, or 'humanparse[gpu]'") from error
    if providers[0] != CPU:
        ort.preload_dlls()  # CUDA's and cuDNN's libraries, where they are Python packages
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = ERRORS
    session = ort.InferenceSession(graph, options, providers=providers)
    asked = providers[0] if isinstance(providers[0], str) else providers[0][0]
    if session.get_providers()[0] != asked:
        raise BackendError(
            f"ONNX Runtime has {asked} but fell back to the CPU: check the driver with nvidia-smi and that the "
            "libraries of CUDA, cuDNN and, if need be, TensorRT are found, or set HUMANPARSE_BACKEND=openvino"
        )
    return session


def has_provider(library: str) -> bool:
    """Whether the installed ONNX Runtime comes with a provider's library, such as "cuda"; does not import it."""
    found = importlib.util.find_spec("onnxruntime")
    folders = found.submodule_search_locations if found else None
    return any(list(Path(folder, "capi").glob(f"*providers_{library}.*")) for folder in folders or ())
