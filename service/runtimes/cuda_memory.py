"""The few calls of CUDA's runtime library that ONNX Runtime and TensorRT leave to their user.

By ctypes, because either package brings the library along, and NVIDIA's own binding would be one more to lock.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from service.runtimes.types import BackendError

LIBRARIES = ("libcudart.so.13", "libcudart.so.12")
COPY_DEFAULT = 4  # cudaMemcpyDefault: the direction follows from the pointers
CAPTURE_THREAD = 1  # cudaStreamCaptureModeThreadLocal: other threads may allocate meanwhile


class Cuda:
    """A stream of the first GPU. Memory lives as long as the process. Raises BackendError if a call fails."""

    def __init__(self) -> None:
        self._library = _library()
        stream = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(stream))
        self._stream = stream
        self.stream: int = stream.value or 0

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array in page-locked memory, which the GPU reads and writes without a copy in between."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        pointer = ctypes.c_void_p()
        self._call("cudaHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(size), ctypes.c_uint(0))
        buffer = (ctypes.c_ubyte * size).from_address(pointer.value or 0)
        return np.ctypeslib.as_array(buffer).view(dtype).reshape(shape)

    def device(self, size: int) -> int:
        """Return the address of `size` bytes on the GPU."""
        pointer = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(size))
        return pointer.value or 0

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy a pinned array to the GPU, in the stream."""
        self._copy(address, array.ctypes.data, array.nbytes)

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Copy from the GPU to a pinned array, in the stream."""
        self._copy(array.ctypes.data, address, array.nbytes)

    def wait(self) -> None:
        """Return once the stream is done."""
        self._call("cudaStreamSynchronize", self._stream)

    def captured(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` puts into the stream as a CUDA graph; return a function that puts it there again."""
        graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cudaStreamBeginCapture", self._stream, ctypes.c_int(CAPTURE_THREAD))
        try:
            work()
        finally:
            self._call("cudaStreamEndCapture", self._stream, ctypes.byref(graph))
        self._call("cudaGraphInstantiate", ctypes.byref(executable), graph, ctypes.c_ulonglong(0))
        return lambda: self._call("cudaGraphLaunch", executable, self._stream)

    def _copy(self, to: int, source: int, size: int) -> None:
        pointers = ctypes.c_void_p(to), ctypes.c_void_p(source)
        self._call("cudaMemcpyAsync", *pointers, ctypes.c_size_t(size), ctypes.c_int(COPY_DEFAULT), self._stream)

    def _call(self, name: str, *arguments: Any) -> None:
        if status := getattr(self._library, name)(*arguments):
            raise BackendError(
                f"{name} failed with CUDA's error {status}: check the GPU and its driver with nvidia-smi"
            )


def _library() -> Any:
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    raise BackendError(f"none of {', '.join(LIBRARIES)} is found: pip install 'humanparse[gpu]' brings it")
