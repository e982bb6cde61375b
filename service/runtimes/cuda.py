"""Runs the graph in ONNX Runtime on an NVIDIA GPU, by its CUDA or its TensorRT provider."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.manifest import BATCH, GRAPH, Manifest
from model.raw_prediction import RawPrediction
from service.runtimes.cuda_memory import Cuda
from service.runtimes.onnxruntime import has_provider, open_session
from service.runtimes.types import BackendError

DEVICE = "cuda"
# TF32 would round the decoder's products: the same numbers in every runtime come first.
CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
NO_GRAPH = "-1"  # ONNX Runtime's id for a run that is neither captured nor replayed
MAX_BATCH = 8
Tensors = dict[str, NDArray[Any]]
log = logging.getLogger(__name__)


def cuda_provider(**options: str) -> tuple[str, dict[str, str]]:
    """Return the CUDA provider with its options."""
    return "CUDAExecutionProvider", {**CUDA_OPTIONS, **options}


def graph_for_batches(bundle: Path, manifest: Manifest) -> Path:
    """The bundle's graph that takes several images at once; without it, the one that takes a single one."""
    return bundle / (BATCH if BATCH in manifest.sha256 else GRAPH)


def open_cuda(graph: Path) -> CudaBackend:
    """Open the graph on CUDA. Raises BackendError with the remedy if this machine cannot."""
    if not has_provider("cuda"):
        raise BackendError("this ONNX Runtime has no CUDA: pip install 'humanparse[gpu]' in place of onnxruntime")
    return CudaBackend("cuda", graph, [cuda_provider(enable_cuda_graph="1")], fallback=[cuda_provider()])


class CudaBackend:
    """A session with bound buffers for every shape it sees: batches of B canvases, B a power of two up to MAX_BATCH.

    Input and outputs of a shape stay at their addresses, so that a CUDA graph, captured in the second run, replays
    the whole inference; copies go through pinned memory. Where ONNX Runtime refuses to capture the graph (it has
    operators that run on the CPU), the providers of `fallback` are taken.

    Raises BackendError if the first provider is not really used.
    """

    precision, parallel = "f32", 1

    def __init__(
        self, name: str, graph: Path, providers: Sequence[Any], fallback: Sequence[Any] = (), cuda: Cuda | None = None
    ) -> None:
        self.name = name
        try:
            self._session = open_session(graph, providers)
        except BackendError:
            raise
        except Exception as error:  # ONNX Runtime's own classes derive from nothing in common
            if not fallback:
                raise BackendError(f"ONNX Runtime cannot open the graph on {providers[0][0]}: {error}") from error
            log.warning("without CUDA graphs: %s", error)
            self._session = open_session(graph, fallback)
        self._cuda = cuda or Cuda()
        self._shapes: dict[tuple[int, ...], _Bound] = {}
        # A graph whose outputs have one image for any input takes its copies for views of one image (TTA).
        self.max_batch = 1 if self._session.get_outputs()[0].shape[0] == 1 else MAX_BATCH

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        return RawPrediction.first_of(self._run(canvas[None].repeat(views, 0)))

    def infer_batch(self, canvases: NDArray[np.uint8]) -> list[RawPrediction]:
        """Run canvases uint8 [B, H, W, 3] of B images, filled up to a power of two."""
        return split(self._run(filled(canvases)), len(canvases))

    def _run(self, canvases: NDArray[np.uint8]) -> Tensors:
        if canvases.shape not in self._shapes:
            self._shapes[canvases.shape] = _Bound(self._session, canvases.shape, len(self._shapes) + 1, self._cuda)
        return self._shapes[canvases.shape].run(canvases)


class _Bound:
    """The buffers of one input shape, on the GPU and pinned."""

    def __init__(self, session: Any, shape: tuple[int, ...], number: int, cuda: Cuda) -> None:
        from model.onnxruntime import ort

        self._session, self._cuda = session, cuda
        self._image = ort.OrtValue.ortvalue_from_shape_and_type(shape, np.uint8, DEVICE)
        self._pinned_image = cuda.pinned(shape, np.uint8)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input("image", self._image)
        names = [output.name for output in session.get_outputs()]
        for name in names:
            self._binding.bind_output(name, DEVICE)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", NO_GRAPH)
        self._pinned_image[:] = 0
        self._infer()  # allocates the outputs, which stay where they are from here on
        self._outputs = dict(zip(names, self._binding.get_outputs(), strict=True))
        self._pinned: Tensors = {}
        for name, value in self._outputs.items():
            self._binding.bind_ortvalue_output(name, value)
            dtype = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32}.get(value.data_type(), np.float32)
            self._pinned[name] = cuda.pinned(tuple(value.shape()), dtype)
        self._options = ort.RunOptions()
        self._options.add_run_config_entry("gpu_graph_id", str(number))

    def run(self, canvases: NDArray[np.uint8]) -> Tensors:
        """Return the outputs, in memory that the next run uses again."""
        self._pinned_image[:] = canvases
        self._infer()
        for name, value in self._outputs.items():
            self._cuda.download(value.data_ptr(), self._pinned[name])
        self._cuda.wait()
        return self._pinned

    def _infer(self) -> None:
        self._cuda.upload(self._pinned_image, self._image.data_ptr())
        self._cuda.wait()  # the session has a stream of its own
        self._session.run_with_iobinding(self._binding, self._options)


def filled(canvases: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last canvas until their number is a power of two: few shapes to compile, capture and hold."""
    missing = (1 << (len(canvases) - 1).bit_length()) - len(canvases)
    return np.concatenate([canvases, canvases[-1:].repeat(missing, 0)]) if missing else canvases


def split(tensors: Tensors, count: int) -> list[RawPrediction]:
    """Copy the first `count` images of a batch."""
    return [RawPrediction.first_of({n: t[i : i + 1] for n, t in tensors.items()}) for i in range(count)]
