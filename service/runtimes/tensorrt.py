"""Runs a TensorRT engine of the graph, or the graph itself by ONNX Runtime's TensorRT provider."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.manifest import ENGINES, Manifest
from model.raw_prediction import RawPrediction
from service.runtimes.cuda import CudaBackend, Tensors, cuda_provider, filled, graph_for_batches, split
from service.runtimes.cuda_memory import Cuda
from service.runtimes.onnxruntime import has_provider
from service.runtimes.types import Backend, BackendError


def open_tensorrt(bundle: Path, manifest: Manifest, precision: str, cache: Path | None) -> Backend:
    """Open the bundle's engine for this GPU; without TensorRT itself, the graph by ONNX Runtime's provider, in f32.

    Raises BackendError with the remedy if this machine has neither.
    """
    if importlib.util.find_spec("tensorrt"):
        return TensorRtBackend(bundle, manifest, precision)
    if has_provider("tensorrt"):
        if precision != "f32":
            raise BackendError(
                "ONNX Runtime's TensorRT provider would round the decoder, too: pip install 'humanparse[tensorrt]', or "
                "HUMANPARSE_PRECISION=auto"
            )
        options = {}
        if cache:
            folder = str(cache / "tensorrt")
            options = {
                "trt_engine_cache_enable": "1",
                "trt_engine_cache_path": folder,
                "trt_timing_cache_enable": "1",
                "trt_timing_cache_path": folder,
            }
        providers = [("TensorrtExecutionProvider", options), cuda_provider()]
        return CudaBackend("tensorrt", graph_for_batches(bundle, manifest), providers)
    raise BackendError("TensorRT is not installed: pip install 'humanparse[tensorrt]'")


class TensorRtBackend:
    """The latest engine of the bundle's graph that this GPU and TensorRT take, with buffers for every shape it sees.

    An inference is captured as a CUDA graph at its first run and replayed from then on. Inferences follow each other,
    so that those of all shapes share what memory they need in between.

    Raises BackendError if there is no such engine.
    """

    name, parallel = "tensorrt", 1

    def __init__(self, bundle: Path, manifest: Manifest, precision: str, cuda: Cuda | None = None) -> None:
        import tensorrt

        self._trt = tensorrt
        self._cuda = cuda or Cuda()
        runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.ERROR))
        files = (bundle / ENGINES).glob(f"*{manifest.engine_ending(precision)}")
        for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
            engine = runtime.deserialize_cuda_engine(file.read_bytes())
            if engine is not None:
                break
        else:
            raise BackendError(
                f"{bundle} has no engine in {precision} of its graph for this GPU and TensorRT {tensorrt.__version__}: "
                f"python -m export tensorrt {bundle} --precision {precision}, or HUMANPARSE_BACKEND=cuda"
            )
        self.precision = precision
        self._runtime, self._engine = runtime, engine  # an engine must not outlive its runtime
        self._names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        self._profiles = [engine.get_tensor_profile_shape("image", i) for i in range(engine.num_optimization_profiles)]
        one_image = engine.get_tensor_shape("part_map")[0] == 1  # its copies are views of one image (TTA)
        self.max_batch = 1 if one_image else max(most[0] for _, _, most in self._profiles)
        self._scratch = self._cuda.device(engine.device_memory_size_v2), engine.device_memory_size_v2
        self._shapes: dict[tuple[int, ...], _Bound] = {}

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        return RawPrediction.first_of(self._run(canvas[None].repeat(views, 0)))

    def infer_batch(self, canvases: NDArray[np.uint8]) -> list[RawPrediction]:
        """Run canvases uint8 [B, H, W, 3] of B images, filled up to a power of two."""
        return split(self._run(filled(canvases)), len(canvases))

    def _run(self, canvases: NDArray[np.uint8]) -> Tensors:
        shape = canvases.shape
        if shape not in self._shapes:
            strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
            context = self._engine.create_execution_context(strategy)
            context.set_device_memory(*self._scratch)
            context.set_optimization_profile_async(self._profile(shape), self._cuda.stream)
            context.set_input_shape("image", shape)
            dtypes = {name: self._trt.nptype(self._engine.get_tensor_dtype(name)) for name in self._names}
            self._shapes[shape] = _Bound(context, dtypes, self._cuda)
        return self._shapes[shape].run(canvases)

    def _profile(self, shape: tuple[int, ...]) -> int:
        for number, (least, _, most) in enumerate(self._profiles):
            if all(low <= side <= high for low, side, high in zip(least, shape, most, strict=True)):
                return number
        raise BackendError(f"the engine has no optimisation profile for {shape}: python -m export tensorrt BUNDLE")


class _Bound:
    """An execution context for one input shape, and the buffers of its tensors on the GPU and pinned."""

    def __init__(self, context: Any, dtypes: dict[str, Any], cuda: Cuda) -> None:
        self._context, self._cuda = context, cuda
        self._pinned: Tensors = {}
        self._device: dict[str, int] = {}
        for name, dtype in dtypes.items():
            pinned = cuda.pinned(tuple(context.get_tensor_shape(name)), dtype)
            self._pinned[name], self._device[name] = pinned, cuda.device(pinned.nbytes)
            context.set_tensor_address(name, self._device[name])
        self._enqueue()  # TensorRT prepares a new shape in its first run, which must not be captured
        cuda.wait()
        self._replay = cuda.captured(self._enqueue)

    def run(self, canvases: NDArray[np.uint8]) -> Tensors:
        """Return the outputs, in memory that the next run uses again."""
        self._pinned["image"][:] = canvases
        self._replay()
        self._cuda.wait()
        return {name: values for name, values in self._pinned.items() if name != "image"}

    def _enqueue(self) -> None:
        self._cuda.upload(self._pinned["image"], self._device["image"])
        if not self._context.execute_async_v3(self._cuda.stream):
            raise BackendError("TensorRT cannot run the engine: its log says why")
        for name, values in self._pinned.items():
            if name != "image":
                self._cuda.download(self._device[name], values)
