"""The bundle's graph on a runtime. A backend is made for a fixed set of canvases; one thread at a time uses it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from model.manifest import GRAPH, Manifest
from service.settings import Settings

Size = tuple[int, int]  # height, width


class BackendError(RuntimeError):
    """A backend cannot be used as asked. The message names the remedy."""


class Output(NamedTuple):
    """The graph's answer for one canvas of H x W pixels: P person slots, K joints, C parts."""

    part_map: NDArray[np.uint8]  # [H, W], 0 background, 1..C
    person_map: NDArray[np.uint8]  # [H, W], 0 nobody, p + 1 = slot p
    keypoints: NDArray[np.float32]  # [P, K, 3]: x, y in canvas pixels, score; 0 = not found
    person_score: NDArray[np.float32]  # [P], falling; 0 = empty slot
    part_score: NDArray[np.float32]  # [P, C], 0 = absent
    overflow: int  # people found beyond P

    @classmethod
    def first_of(cls, tensors: dict[str, NDArray[Any]]) -> Output:
        """The first photo of a batch of named output tensors, copied: a runtime may use its memory again."""
        first = {name: tensors[name][0].copy() for name in cls._fields}
        return cls(**{**first, "overflow": int(first["overflow"])})


class Backend(Protocol):
    """A runtime that holds the graph compiled for its canvases."""

    name: str  # as /model and the metrics call it
    precision: str  # of the network; the decoder is always f32

    def infer(self, canvas: NDArray[np.uint8]) -> Output:
        """Run one canvas, uint8 [H, W, 3] RGB, of a size the backend was made for."""
        ...


class BackendFactory(Protocol):
    """Compiles the graph for a set of canvas sizes."""

    def __call__(self, canvases: Sequence[Size]) -> Backend:
        """Raises BackendError where the graph cannot be compiled."""
        ...


def backend_factory(bundle: Path, manifest: Manifest, settings: Settings) -> BackendFactory:
    """How to make backends for this bundle. Raises BackendError where the machine lacks what the settings ask for."""
    graph = bundle / GRAPH
    name = settings.backend
    if name == "onnxruntime" or (name == "auto" and _has_cuda()):
        from service.runtime_onnx import OnnxRuntimeBackend

        if settings.precision == "bf16":
            raise BackendError("HUMANPARSE_PRECISION=bf16 is for the openvino backend; use f32 with onnxruntime")
        return lambda canvases: OnnxRuntimeBackend(graph, canvases, threads=settings.threads)

    from service.runtime_openvino import OpenVinoBackend, network_precision

    precision = network_precision(settings.precision)
    return lambda canvases: OpenVinoBackend(
        graph,
        canvases,
        cut_at=manifest.decoder_inputs if precision == "bf16" else (),
        precision=precision,
        threads=settings.threads,
        cache_dir=settings.cache_dir,
    )


def _has_cuda() -> bool:
    try:
        import onnxruntime
    except ImportError:
        return False
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
