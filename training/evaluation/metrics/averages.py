"""Means that skip NaN, and bootstrap intervals over images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from training.evaluation.metrics.pixels import Int64


def mean(values: Sequence[float] | NDArray[np.generic]) -> float:
    """Return the mean of all values but NaN; NaN if there are none."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def bootstrap(statistic: Callable[[Int64], float], images: int, resamples: int = 200, seed: int = 0) -> list[float]:
    """Return the 95 % interval of `statistic`, a function of the indices of images drawn with replacement."""
    rng = np.random.default_rng(seed)
    values = [statistic(rng.integers(images, size=images)) for _ in range(resamples)] if images else []
    values = [value for value in values if not np.isnan(value)]
    return [float(v) for v in np.percentile(values, [2.5, 97.5])] if values else [float("nan")] * 2
