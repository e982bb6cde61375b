"""Times the stages of one request. JSON, Server-Timing header and histograms get the same numbers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

TOTAL = "total"


class Stopwatch:
    """Milliseconds per stage, rounded once; `total` runs from construction to `stop`."""

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
        """Record a stage's duration."""
        self.ms[name] = round(seconds * 1e3, 2)

    def add(self, name: str, seconds: float) -> None:
        """Add to a stage that comes in pieces."""
        self.ms[name] = round(self.ms.get(name, 0.0) + seconds * 1e3, 2)

    def stop(self) -> dict[str, float]:
        """Return all stages and the total."""
        self.record(TOTAL, time.perf_counter() - self._start)
        return self.ms

    def server_timing(self) -> str:
        """Return the value of the Server-Timing header."""
        return ", ".join(f"{name};dur={ms}" for name, ms in self.ms.items())
