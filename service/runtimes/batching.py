"""Runs the canvases that wait together as one batch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Condition, Lock, Thread

import numpy as np
from numpy.typing import NDArray

from model.raw_prediction import RawPrediction
from service.runtimes.types import BatchBackend, Size

PAYS = 0.8  # an image of a full batch takes at most this share of the time of an image alone
REPETITIONS = 3


@dataclass(eq=False)
class _Waiting:
    canvas: NDArray[np.uint8]
    since: float = field(default_factory=time.perf_counter)
    answer: Future[RawPrediction] = field(default_factory=Future)


class BatchingBackend:
    """A backend whose `infer` may be called by several threads: one thread runs what they bring, in batches.

    A batch holds canvases of one size, up to `max_batch`. While it runs the next one gathers; where none runs, the
    first canvas waits for others at most `delay` seconds. Sizes outside `sizes` and views beyond one run alone.
    `on_batch` is called with the number of images of each inference, by the thread that runs it.
    """

    on_batch: Callable[[int], None] | None = None

    def __init__(self, backend: BatchBackend, sizes: Iterable[Size], delay: float) -> None:
        self.name, self.precision = backend.name, backend.precision
        self.parallel = 2 * backend.max_batch  # one batch runs, one gathers
        self._backend, self._sizes, self._delay = backend, frozenset(sizes), delay
        self._device = Lock()
        self._waiting: list[_Waiting] = []
        self._changed = Condition()
        Thread(target=self._serve, name="batches", daemon=True).start()

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3]; with horizontal-flip TTA (test-time augmentation) if `views` is 2."""
        if views > 1 or canvas.shape[:2] not in self._sizes:
            with self._device:
                self._count(1)
                return self._backend.infer(canvas, views)
        waiting = _Waiting(canvas)
        with self._changed:
            self._waiting.append(waiting)
            self._changed.notify()
        return waiting.answer.result()

    def _serve(self) -> None:
        while True:
            batch = self._next()
            try:
                with self._device:
                    self._count(len(batch))
                    answers = self._backend.infer_batch(np.stack([w.canvas for w in batch]))
            except Exception as error:
                for waiting in batch:
                    waiting.answer.set_exception(error)
            else:
                for waiting, answer in zip(batch, answers, strict=True):
                    waiting.answer.set_result(answer)

    def _count(self, images: int) -> None:
        if self.on_batch is not None:
            self.on_batch(images)

    def _next(self) -> list[_Waiting]:
        """Return the canvases of the size that waits longest, once they are enough or have waited long enough."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            first = self._waiting[0]
            remaining = first.since + self._delay - time.perf_counter()
            self._changed.wait_for(lambda: len(self._like(first)) >= self._backend.max_batch, max(0.0, remaining))
            batch = self._like(first)[: self._backend.max_batch]
            for waiting in batch:
                self._waiting.remove(waiting)
            return batch

    def _like(self, first: _Waiting) -> list[_Waiting]:
        return [w for w in self._waiting if w.canvas.shape == first.canvas.shape]


def batching_pays(backend: BatchBackend, size: Size) -> bool:
    """Whether an image in a full batch takes clearly less time than alone, on canvases of a size."""
    if backend.max_batch == 1:
        return False
    canvases = np.random.default_rng(0).integers(0, 256, (backend.max_batch, *size, 3), dtype=np.uint8)
    alone, together = _seconds(backend, canvases[:1]), _seconds(backend, canvases)
    return together / backend.max_batch <= PAYS * alone


def _seconds(backend: BatchBackend, canvases: NDArray[np.uint8]) -> float:
    """Return the median time of a batch, after two that compile and capture."""
    times = []
    for _ in range(2 + REPETITIONS):
        start = time.perf_counter()
        backend.infer_batch(canvases)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])
