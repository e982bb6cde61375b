"""Chooses the runtime and the precision from the settings and this machine."""

from __future__ import annotations

from pathlib import Path

from model.manifest import GRAPH, Manifest
from service.runtimes.onnxruntime import OnnxRuntimeBackend
from service.runtimes.types import Backend, BackendError
from service.settings import Settings


def open_backend(bundle: Path, manifest: Manifest, settings: Settings) -> Backend:
    """Open the bundle's graph on the runtime of the settings.

    Raises BackendError if this machine lacks what they ask for.
    """
    graph = bundle / GRAPH
    if settings.backend == "onnxruntime" or (settings.backend == "auto" and _has_cuda()):
        if settings.precision == "bf16":
            raise BackendError("HUMANPARSE_PRECISION=bf16 is for the openvino backend; use f32 with onnxruntime")
        return OnnxRuntimeBackend(graph, threads=settings.threads)

    from service.runtimes.openvino import OpenVinoBackend, network_precision  # not needed beside CUDA

    precision = network_precision(settings.precision)
    cut_at = manifest.decoder_inputs if precision == "bf16" else ()
    return OpenVinoBackend(graph, cut_at=cut_at, precision=precision, threads=settings.threads)


def _has_cuda() -> bool:
    try:
        from model.onnxruntime import ort
    except ImportError:
        return False
    return "CUDAExecutionProvider" in ort.get_available_providers()
