"""Whether a process's memory stays flat over a long run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

FLAT_MIB = 32.0  # that memory may differ by: arenas of the allocator come and go
SETTLED = 0.4  # share of a run after which threads, arenas and caches are all there


def resident_mib(pid: int) -> float:
    """Memory of a process. Raises OSError if it is gone."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope of the least-squares line, and its error: from blocks, because neighbours resemble each other."""
    blocks = zip(np.array_split(np.array(x), 4), np.array_split(np.array(y), 4), strict=True)
    slopes = [float(np.polyfit(*block, 1)[0]) for block in blocks]
    return float(np.polyfit(x, y, 1)[0]), float(np.std(slopes, ddof=1)) / 2
