"""Scores as probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.calibration import (
    ScoredPeople,
    calibrated,
    calibration_error,
    fit_calibration,
    reliability,
)

TRUE = (1.5, 2.0, 0.3)


@pytest.fixture(scope="module")
def people() -> ScoredPeople:
    """Who is right is drawn with the probability that `TRUE` gives."""
    rng = np.random.default_rng(0)
    score, area = rng.uniform(0.05, 0.95, 20000), rng.uniform(4, 900, 20000)
    nobody = ScoredPeople(score, area, np.zeros(20000, bool))
    return ScoredPeople(score, area, rng.random(20000) < calibrated(nobody, TRUE))


def test_the_fit_recovers_the_weights_of_drawn_people(people: ScoredPeople) -> None:
    np.testing.assert_allclose(fit_calibration(people), TRUE, atol=0.15)


def test_calibrated_scores_match_the_share_of_correct_people(people: ScoredPeople) -> None:
    curve = reliability(calibrated(people, fit_calibration(people)), people.right)
    assert calibration_error(curve) < 0.02
    assert calibration_error(reliability(people.score, people.right)) > 0.1
    assert sum(count for *_, count in curve) == 20000


def test_a_higher_score_never_counts_against_a_person() -> None:
    score = np.linspace(0.1, 0.9, 100)
    backwards = ScoredPeople(score, np.full(100, 50.0), score < 0.5)
    assert fit_calibration(backwards)[1] == 0


@pytest.mark.parametrize("right", [True, False])
def test_people_of_one_kind_cannot_be_fitted(right: bool) -> None:
    with pytest.raises(ValueError, match="fit on images with both kinds"):
        fit_calibration(ScoredPeople(np.full(3, 0.5), np.full(3, 9.0), np.full(3, right)))


def test_a_curve_has_a_point_for_each_bin_with_people() -> None:
    curve = reliability(np.array([0.02, 0.04, 0.97, 1.0]), np.array([False, True, True, True]))
    assert curve == [(pytest.approx(0.03), 0.5, 2), (pytest.approx(0.985), 1.0, 2)]
    assert calibration_error(curve) == pytest.approx((0.47 * 2 + 0.015 * 2) / 4)
