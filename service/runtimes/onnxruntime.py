"""Runs the graph in ONNX Runtime, on an NVIDIA GPU or on a CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.runtimes.types import BackendError, Output

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"


class OnnxRuntimeBackend:
    """A session, on CUDA if this ONNX Runtime has it.

    Raises BackendError if ONNX Runtime is not installed, or has CUDA and does not really use it.
    """

    precision = "f32"

    def __init__(self, graph: Path, threads: int = 0) -> None:
        try:
            from model.onnxruntime import ort
        except ImportError as error:
            raise BackendError(
                "HUMANPARSE_BACKEND=onnxruntime needs ONNX Runtime: pip install 'humanparse[gpu]'"
            ) from error
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers: list[Any] = [CPU]
        if CUDA in ort.get_available_providers():
            # TF32 would round the decoder's products: the same numbers in every runtime come first.
            providers = [(CUDA, {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}), CPU]
        self._session = ort.InferenceSession(graph, options, providers=providers)
        used = self._session.get_providers()[0]
        if len(providers) == 2 and used != CUDA:
            raise BackendError(
                "ONNX Runtime was built for CUDA but fell back to the CPU: check the driver with nvidia-smi and that "
                "CUDA's and cuDNN's libraries are found, or set HUMANPARSE_BACKEND=openvino"
            )
        self.name = "onnxruntime-cuda" if used == CUDA else "onnxruntime-cpu"
        self._outputs = [output.name for output in self._session.get_outputs()]

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> Output:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        values = self._session.run(self._outputs, {"image": canvas[None].repeat(views, 0)})
        return Output.first_of(dict(zip(self._outputs, values, strict=True)))
