"""Means and their intervals."""

from __future__ import annotations

import math

import numpy as np

from training.evaluation.metrics.averages import bootstrap


def test_bootstrap_covers_the_mean_and_repeats_itself() -> None:
    values = np.random.default_rng(1).normal(size=100)

    def mean(rows: np.ndarray) -> float:
        return float(values[rows].mean())

    low, high = bootstrap(mean, 100)
    assert low < values.mean() < high
    assert 2.5 < (high - low) / (values.std() / 10) < 5.5  # about 2 x 1.96 standard errors
    assert bootstrap(mean, 100) == [low, high]


def test_bootstrap_of_a_constant_and_of_nothing() -> None:
    assert bootstrap(lambda rows: 2.0, 5) == [2.0, 2.0]
    assert np.isnan(bootstrap(lambda rows: 2.0, 0)).all()
    assert np.isnan(bootstrap(lambda rows: math.nan, 5)).all()
