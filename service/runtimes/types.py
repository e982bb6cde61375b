"""The bundle's graph on a runtime; one thread at a time uses it."""

from __future__ import annotations

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
    """A runtime that holds the graph."""

    name: str  # as /model and the metrics call it
    precision: str  # of the network; the decoder is always f32

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> Output:
        """Run one canvas, uint8 [H, W, 3] RGB, H and W multiples of 32; seen in a mirror, too, where `views` is 2."""
        ...


def open_backend(bundle: Path, manifest: Manifest, settings: Settings) -> Backend:
    """The bundle's graph on the runtime of the settings.

    Raises BackendError where this machine lacks what they ask for.
    """
    graph = bundle / GRAPH
    if settings.backend == "onnxruntime" or (settings.backend == "auto" and _has_cuda()):
        from service.runtimes.onnxruntime import OnnxRuntimeBackend

        if settings.precision == "bf16":
            raise BackendError("HUMANPARSE_PRECISION=bf16 is for the openvino backend; use f32 with onnxruntime")
        return OnnxRuntimeBackend(graph, threads=settings.threads)

    from service.runtimes.openvino import OpenVinoBackend, network_precision

    precision = network_precision(settings.precision)
    cut_at = manifest.decoder_inputs if precision == "bf16" else ()
    return OpenVinoBackend(graph, cut_at=cut_at, precision=precision, threads=settings.threads)


def _has_cuda() -> bool:
    try:
        import onnxruntime
    except ImportError:
        return False
    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
