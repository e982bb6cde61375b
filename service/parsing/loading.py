"""Loads a parser that is warm, checked and fast enough for the settings."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from model.manifest import Manifest, read_bundle
from service.parsing.parser import ImageParser, Levels
from service.parsing.self_check import check_contract, check_golden, read_golden
from service.parsing.turned import CANVAS as TURNED_CANVAS
from service.runtimes.batching import BatchingBackend, batching_pays
from service.runtimes.choice import choose_backend
from service.runtimes.memory import release_memory, spare_memory
from service.runtimes.types import Backend, BackendError, BatchBackend, PreparingBackend, Size
from service.settings import Settings

REPETITIONS = 2
GROWTH = 0.8  # time grows at least by this share of the pixels'; measured 0.9 (convolutions) to 1.2 (attention)
log = logging.getLogger(__name__)


def load_parser(settings: Settings, *, repeatable: bool = False) -> ImageParser:
    """Read the bundle, compile its graph, choose the level of detail, check the outputs.

    When this returns, every canvas of the default level has run once, so that no request there pays for a first run,
    and the golden maps of this level and of the coarsest one were found. The runtime is prepared for the canvases of
    the golden maps: an image of their form takes at once what later ones take. Other levels are checked before their
    first answer, and a first run on a canvas of theirs takes about twice as long as the next one.
    With `repeatable` an image gets the same answer on every processor of a kind, whatever came before it; canvases that
    come often are not given a graph of their own then.
    A runtime that `auto` allows and that fails the check is passed over.
    Raises BundleError or BackendError.
    """
    spare_memory()
    manifest = read_bundle(settings.bundle)
    levels = served_levels(manifest, settings)

    def warm_up(backend: Backend) -> tuple[str, float]:
        return _warm_up(backend, manifest, levels, settings)

    backend, (detail, seconds), reason = choose_backend(settings.bundle, manifest, settings, warm_up)
    log.info("%s in %s: %s", backend.name, backend.precision, reason)
    log.info("%s %s on %s, detail %s: %.0f ms", manifest.name, manifest.version, backend.name, detail, seconds * 1e3)
    if repeatable and isinstance(backend, PreparingBackend):
        backend.repeat()
    backend = _batching(backend, manifest, detail, settings)
    release_memory()
    unchecked: dict[str, Callable[[Backend], None]] = {
        name: partial(_check_level, settings.bundle, manifest, name)
        for name in levels
        if name not in (next(iter(levels)), *manifest.scales_of(detail), *manifest.scales)
    }
    return ImageParser(manifest, backend, levels, detail, settings.max_pixels, seconds, reason, unchecked)


def _warm_up(backend: Backend, manifest: Manifest, levels: Levels, settings: Settings) -> tuple[str, float]:
    """Choose the default level, run its canvases and check the answers; return it and the seconds of an inference."""
    detail = choose_detail(levels, manifest, backend, settings)
    scales = {name: manifest.views_at(name) for name in manifest.scales_of(detail)}
    golden = {(one.size, views) for name, views in scales.items() if (one := read_golden(settings.bundle, name))}
    canvases = {(size, views) for name, views in scales.items() for size in manifest.canvases[name]}
    prepared = backend.prepare(sorted(golden)) if isinstance(backend, PreparingBackend) else None
    coarsest = next(iter(levels))
    if prepared or coarsest not in scales:  # while graphs are compiled, the one for all answers
        _check_level(settings.bundle, manifest, coarsest, backend)
    for size, views in (canvases | {(TURNED_CANVAS, 1)}) - golden:
        _run(backend, manifest, size, views)
    if prepared:
        prepared()
    for name in scales:
        _check_level(settings.bundle, manifest, name, backend)
    passes = [(manifest.canvases[name][0], views) for name, views in scales.items()]
    return detail, sum(measure(backend, size, views) for size, views in passes)


def _check_level(bundle: Path, manifest: Manifest, detail: str, backend: Backend) -> None:
    if golden := read_golden(bundle, detail):
        check_golden(backend, golden, manifest, detail)
    else:
        _run(backend, manifest, manifest.canvases[detail][0], manifest.views_at(detail))


def _run(backend: Backend, manifest: Manifest, size: Size, views: int) -> None:
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


def choose_detail(levels: Levels, manifest: Manifest, backend: Backend, settings: Settings) -> str:
    """Return the default level: of the settings, or for "auto" the finest that meets the budget, else the coarsest."""
    if settings.detail != "auto":
        return settings.detail
    chosen, seconds, seen = next(iter(levels)), 0.0, 0
    times: dict[tuple[Size, int], float] = {}
    for detail in levels:
        passes = [_largest(manifest, name) for name in manifest.scales_of(detail)]
        pixels = sum(height * width * views for (height, width), views in passes)
        # On a slow machine an inference takes seconds: a level that cannot meet the budget is not tried.
        if seen and seconds * GROWTH * pixels / seen > settings.inference_budget_seconds:
            break
        times |= {canvas: measure(backend, *canvas) for canvas in passes if canvas not in times}
        seconds, seen = sum(times[canvas] for canvas in passes), pixels
        log.info("detail %s: %.1f ms an inference", detail, seconds * 1e3)
        if detail != chosen and seconds > settings.inference_budget_seconds:
            break
        chosen = detail
    return chosen


def _largest(manifest: Manifest, detail: str) -> tuple[Size, int]:
    """Return the largest canvas of a level, and how often the network sees it."""
    return max(manifest.canvases[detail], key=lambda s: s[0] * s[1]), manifest.views_at(detail)


def measure(backend: Backend, size: Size, views: int = 1) -> float:
    """Return the least time of an inference in seconds: a first run, if this is one, is not the least."""
    canvas, times = _noise(size), []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        backend.infer(canvas, views)
        times.append(time.perf_counter() - start)
    return min(times)


def _noise(size: Size) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
