"""How long each stage of one request took. One figure goes to the JSON, the Server-Timing header and the histograms."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

STAGES = ("decode", "queue", "infer", "encode")
TOTAL = "total"


class Stopwatch:
    """Milliseconds by stage, rounded once; `total` runs from construction to `stop`."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.ms: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.record(name, time.perf_counter() - start)

    def record(self, name: str, seconds: float) -> None:
        """Note a stage's duration."""
        self.ms[name] = round(seconds * 1e3, 2)

    def stop(self) -> dict[str, float]:
        """All stages and the total."""
        self.record(TOTAL, time.perf_counter() - self._start)
        return self.ms

    def server_timing(self) -> str:
        """The value of the Server-Timing header."""
        return ", ".join(f"{name};dur={ms}" for name, ms in self.ms.items())
