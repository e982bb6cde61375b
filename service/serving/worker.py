"""Queues images: a bounded queue in front of a backend that serves one image at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from service.problems import Problem

T = TypeVar("T")
SMOOTHING = 0.1  # weight of the newest service time in the running mean


class QueueSlot:
    """The slot of an image in the queue, from admission until its inference begins."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline  # time.perf_counter()'s clock
        self.waiting = True


class InferenceWorker:
    """Runs inferences one after the other in a thread of its own.

    All methods but the inference itself run in the event loop, so that counting needs no lock. A waiting image whose
    task is cancelled leaves the queue at once.
    """

    def __init__(self, queue_limit: int, service_seconds: float) -> None:
        self.queue_limit = queue_limit
        self.waiting = 0  # admitted, inference not begun
        self.running = 0
        self._service_seconds = service_seconds  # running mean of an inference
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inference")

    @contextmanager
    def admitted(self, deadline: float | None) -> Iterator[QueueSlot]:
        """Hold a slot while an image is decoded and waits.

        Raises Problem "queue-full", or "deadline-unreachable" if the images before it and itself take longer than the
        deadline allows.
        """
        expected = (self.waiting + self.running + 1) * self._service_seconds
        if self.waiting >= self.queue_limit:
            raise Problem("queue-full", f"{self.waiting} images are waiting: try again later", retry_after=expected)
        if deadline is not None and time.perf_counter() + expected > deadline:
            raise Problem(
                "deadline-unreachable", f"a response takes about {expected * 1e3:.0f} ms now", retry_after=expected
            )
        slot = QueueSlot(deadline)
        self.waiting += 1
        try:
            yield slot
        finally:
            self._leave(slot)

    async def run(self, slot: QueueSlot, work: Callable[[], T]) -> tuple[T, float, float]:
        """Return the result of `work`, the seconds it waited and the seconds it took.

        Raises Problem "deadline-passed" if its turn comes too late; whatever `work` raises.
        """
        loop = asyncio.get_running_loop()
        entered = time.perf_counter()

        def turn() -> tuple[T, float, float]:
            begun = time.perf_counter()
            if slot.deadline is not None and begun > slot.deadline:
                raise Problem("deadline-passed", "the deadline passed while the image was waiting")
            loop.call_soon_threadsafe(self._begin, slot)
            try:
                result = work()
            finally:
                loop.call_soon_threadsafe(self._end)
            return result, begun - entered, time.perf_counter() - begun

        result, queued, took = await loop.run_in_executor(self._thread, turn)
        self._service_seconds += SMOOTHING * (took - self._service_seconds)
        return result, queued, took

    def close(self) -> None:
        """End the thread after the inference in progress."""
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, slot: QueueSlot) -> None:
        self._leave(slot)
        self.running += 1

    def _end(self) -> None:
        self.running -= 1

    def _leave(self, slot: QueueSlot) -> None:
        if slot.waiting:
            slot.waiting = False
            self.waiting -= 1
