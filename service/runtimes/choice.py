"""Chooses the runtime and the precision from the settings and this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from model.manifest import GRAPH, INT8, Manifest
from service.runtimes.onnxruntime import OnnxRuntimeBackend
from service.runtimes.types import Backend, BackendError
from service.settings import Settings

T = TypeVar("T")
log = logging.getLogger(__name__)

# From the fastest on. OpenVINO is faster than ONNX Runtime on every CPU measured, and computes in bf16. TensorRT's
# precisions are those that engines were built in.
AUTO = (
    *(("tensorrt", "fp16"), ("tensorrt", "bf16"), ("tensorrt", "f32")),
    *(("cuda", "f32"), ("openvino", "bf16"), ("openvino", "f32"), ("onnxruntime", "f32")),
)
BY_NAME = (("openvino", "int8"),)  # costs accuracy: whoever wants it says so


def choose_backend(
    bundle: Path, manifest: Manifest, settings: Settings, check: Callable[[Backend], T]
) -> tuple[Backend, T, str]:
    """Return the first runtime that the settings allow, that this machine has and that passes `check`.

    Beside it, what `check` returned, and why this runtime was taken.

    Raises BackendError with every reason and remedy if there is none.
    """
    asked = [
        (name, precision)
        for name, precision in (BY_NAME if settings.precision == "int8" else AUTO)
        if settings.backend in ("auto", name) and settings.precision in ("auto", precision)
    ]
    if not asked:
        raise BackendError(
            f"HUMANPARSE_PRECISION={settings.precision} is not for HUMANPARSE_BACKEND={settings.backend}: use auto"
        )
    refused: dict[str, list[str]] = {}  # by the reason
    for name, precision in asked:
        try:
            backend = open_backend(name, bundle, manifest, precision, settings)
            checked = check(backend)
        except BackendError as error:
            refused.setdefault(str(error), []).append(f"{name} {precision}")
            continue
        first = f"HUMANPARSE_BACKEND={settings.backend}" if settings.backend != "auto" else "the best that is there"
        reasons = [first, *(f"not {', '.join(who)}: {reason}" for reason, who in refused.items())]
        return backend, checked, "; ".join(reasons)
    raise BackendError("; ".join(f"{', '.join(who)}: {reason}" for reason, who in refused.items()))


def open_backend(name: str, bundle: Path, manifest: Manifest, precision: str, settings: Settings) -> Backend:
    """Open the bundle's graph on a runtime. Raises BackendError with the remedy if this machine lacks it."""
    cache = cache_folder(settings.cache_dir)
    if name == "tensorrt":
        from service.runtimes.tensorrt import open_tensorrt  # each runtime is imported where it is tried

        return open_tensorrt(bundle, manifest, precision, cache)
    if name == "cuda":
        from service.runtimes.cuda import graph_for_batches, open_cuda

        return open_cuda(graph_for_batches(bundle, manifest))
    if name == "openvino":
        from service.runtimes.openvino import OpenVinoBackend

        if precision == "int8" and INT8 not in manifest.sha256:
            raise BackendError(
                f"{bundle} has no network in int8: run python -m export int8 {bundle} --images FOLDER, or use "
                "HUMANPARSE_PRECISION=auto"
            )
        cut_at = manifest.decoder_inputs
        return OpenVinoBackend(
            bundle / GRAPH, cut_at=cut_at, precision=precision, threads=settings.threads, cache=cache
        )
    return OnnxRuntimeBackend(bundle / GRAPH, settings.threads)


def cache_folder(folder: Path | None) -> Path | None:
    """Make the folder for what runtimes compile. Raises BackendError if it cannot be written to."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"HUMANPARSE_CACHE_DIR={folder} cannot be made: {error.strerror}: name another") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BackendError(f"HUMANPARSE_CACHE_DIR={folder} cannot be written to: name another or unset it")
    return folder
