"""Loads a parser that is warm, checked and fast enough for the settings."""

from __future__ import annotations

import logging
import statistics
import time

import numpy as np

from model.manifest import Manifest, read_bundle
from service.parsing.parser import ImageParser, Levels
from service.parsing.self_check import check_contract, check_golden
from service.parsing.turned import CANVAS as TURNED_CANVAS
from service.runtimes.batching import BatchingBackend, batching_pays
from service.runtimes.choice import choose_backend
from service.runtimes.memory import release_memory, spare_memory
from service.runtimes.types import Backend, BackendError, BatchBackend, PreparingBackend, Size
from service.settings import Settings

REPETITIONS = 3
GROWTH = 0.8  # time grows at least by this share of the pixels'; measured 0.9 (convolutions) to 1.2 (attention)
log = logging.getLogger(__name__)


def load_parser(settings: Settings) -> ImageParser:
    """Read the bundle, compile its graph, choose the level of detail, check the outputs.

    Every canvas of the default level has run once when this returns, so that no request there pays for a first run,
    and the runtime is prepared for the widest of them: an image from a camera or a screen takes at once what later
    ones take. A first run on a canvas of another level takes about twice as long as the next one.
    A runtime that `auto` allows and that fails the check is passed over.
    Raises BundleError or BackendError.
    """
    spare_memory()
    manifest = read_bundle(settings.bundle)
    levels = served_levels(manifest, settings)

    def check(backend: Backend) -> None:
        _check(backend, manifest, levels, settings)

    backend, reason = choose_backend(settings.bundle, manifest, settings, check)
    log.info("%s in %s: %s", backend.name, backend.precision, reason)
    detail = choose_detail(levels, manifest, backend, settings)
    scales = [(manifest.canvases[name], manifest.views_at(name)) for name in manifest.scales_of(detail)]
    widest = {(sizes[0], views) for sizes, views in scales}
    others = ({(size, views) for sizes, views in scales for size in sizes} | {(TURNED_CANVAS, 1)}) - widest
    prepared = None
    if isinstance(backend, PreparingBackend):
        prepared = backend.prepare([(_noise(size), views) for size, views in sorted(widest)])
    _run(backend, others, manifest)
    if prepared:
        prepared()
    _run(backend, widest, manifest)
    seconds = sum(measure(backend, sizes[0], views) for sizes, views in scales)
    log.info("%s %s on %s, detail %s: %.0f ms", manifest.name, manifest.version, backend.name, detail, seconds * 1e3)
    backend = _batching(backend, manifest, detail, settings)
    release_memory()
    return ImageParser(manifest, backend, levels, detail, settings.max_pixels, seconds, reason)


def _run(backend: Backend, canvases: set[tuple[Size, int]], manifest: Manifest) -> None:
    """Run each canvas once, with its number of views, and check the form of what comes back."""
    for size, views in canvases:
        check_contract(backend.infer(_noise(size), views), size, manifest)


def _batching(backend: Backend, manifest: Manifest, detail: str, settings: Settings) -> Backend:
    """Let images of the default level run in batches, where the runtime takes them and they take less time so."""
    if not isinstance(backend, BatchBackend):
        return backend
    sizes = {size for name in manifest.scales_of(detail) for size in manifest.canvases[name]}
    paying = [size for size in sorted(sizes) if batching_pays(backend, size)]
    log.info("batches of up to %d images pay on %d of %d canvases", backend.max_batch, len(paying), len(sizes))
    return BatchingBackend(backend, paying, settings.batch_delay_seconds) if paying else backend


def served_levels(manifest: Manifest, settings: Settings) -> Levels:
    """Return the levels of detail that a request may name, from coarse to fine: the bundle's up to the finest allowed.

    Raises BackendError if the level of the settings is not among them.
    """
    names = list(manifest.canvases)
    if settings.max_detail in names:
        names = names[: names.index(settings.max_detail) + 1]
    if settings.detail not in ("auto", *names):
        reason = (
            "is finer than HUMANPARSE_MAX_DETAIL" if settings.detail in manifest.canvases else "is not in the bundle"
        )
        raise BackendError(f"HUMANPARSE_DETAIL={settings.detail} {reason}: choose of auto, {', '.join(names)}")
    return {name: manifest.canvases[name] for name in names}


def _check(backend: Backend, manifest: Manifest, levels: Levels, settings: Settings) -> None:
    for level, canvases in levels.items():
        if level in manifest.scales:
            continue  # united from levels that are checked themselves
        if not check_golden(backend, settings.bundle, manifest, level):
            check_contract(backend.infer(_noise(canvases[0]), manifest.views_at(level)), canvases[0], manifest)


def choose_detail(levels: Levels, manifest: Manifest, backend: Backend, settings: Settings) -> str:
    """Return the default level: of the settings, or for "auto" the finest that meets the budget, else the coarsest."""
    if settings.detail != "auto":
        return settings.detail
    chosen, seconds, seen = next(iter(levels)), 0.0, 0
    for detail in levels:
        passes = [_largest(manifest, name) for name in manifest.scales_of(detail)]
        pixels = sum(height * width * views for (height, width), views in passes)
        # On a slow machine an inference takes seconds: a level that cannot meet the budget is not tried.
        if seen and seconds * GROWTH * pixels / seen > settings.inference_budget_seconds:
            break
        seconds, seen = sum(measure(backend, size, views) for size, views in passes), pixels
        log.info("detail %s: %.1f ms an inference", detail, seconds * 1e3)
        if detail != chosen and seconds > settings.inference_budget_seconds:
            break
        chosen = detail
    return chosen


def _largest(manifest: Manifest, detail: str) -> tuple[Size, int]:
    """Return the largest canvas of a level, and how often the network sees it."""
    return max(manifest.canvases[detail], key=lambda s: s[0] * s[1]), manifest.views_at(detail)


def measure(backend: Backend, size: Size, views: int = 1) -> float:
    """Return the median time of an inference in seconds: a first run, if this is one, is no median."""
    canvas, times = _noise(size), []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        backend.infer(canvas, views)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _noise(size: Size) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
