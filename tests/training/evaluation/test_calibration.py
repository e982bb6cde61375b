"""Scores as probabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import training.commands.calibrate as command
from model.parser import HumanParser
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import write_folder
from tests.training.evaluation.known_network import CONFIG, SIZE, KnownNetwork, known_samples
from training.__main__ import main
from training.data.datasets.folders import FolderDataset
from training.evaluation.calibration import (
    ScoredPeople,
    calibrated,
    calibration_error,
    fit_calibration,
    reliability,
    score_people,
)

TRUE = (-0.5, 2.0, 0.3, 3.0)


@pytest.fixture(scope="module")
def people() -> ScoredPeople:
    """Who is right is drawn with the probability that `TRUE` gives."""
    rng = np.random.default_rng(0)
    score, area, certainty = rng.uniform(0.05, 0.95, 20000), rng.uniform(4, 900, 20000), rng.uniform(0, 1, 20000)
    nobody = ScoredPeople(score, area, certainty, np.zeros(20000, bool))
    return replace(nobody, right=rng.random(20000) < calibrated(nobody, TRUE))


def test_the_fit_recovers_the_weights_of_drawn_people(people: ScoredPeople) -> None:
    np.testing.assert_allclose(fit_calibration(people), TRUE, atol=0.15)


def test_calibrated_scores_match_the_share_of_correct_people(people: ScoredPeople) -> None:
    curve = reliability(calibrated(people, fit_calibration(people)), people.right)
    assert calibration_error(curve) < 0.02
    assert calibration_error(reliability(people.score, people.right)) > 0.1
    assert sum(count for *_, count in curve) == 20000


@pytest.mark.parametrize(("field", "weight"), [("score", 1), ("certainty", 3)])
def test_a_higher_score_or_certainty_never_counts_against_a_person(field: str, weight: int) -> None:
    value = np.linspace(0.1, 0.9, 100)
    alike = ScoredPeople(np.full(100, 0.5), np.full(100, 50.0), np.full(100, 0.5), value < 0.5)
    assert fit_calibration(replace(alike, **{field: value}))[weight] == 0


@pytest.mark.parametrize("right", [True, False])
def test_people_of_one_kind_cannot_be_fitted(right: bool) -> None:
    with pytest.raises(ValueError, match="fit on images with both kinds"):
        fit_calibration(ScoredPeople(np.full(3, 0.5), np.full(3, 9.0), np.full(3, 0.5), np.full(3, right)))


def test_a_curve_has_a_point_for_each_bin_with_people() -> None:
    curve = reliability(np.array([0.02, 0.04, 0.97, 1.0]), np.array([False, True, True, True]))
    assert curve == [(pytest.approx(0.03), 0.5, 2), (pytest.approx(0.985), 1.0, 2)]
    assert calibration_error(curve) == pytest.approx((0.47 * 2 + 0.015 * 2) / 4)


def test_people_of_a_network_that_also_sees_a_ghost_are_scored_and_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = known_samples()
    dataset = FolderDataset([write_folder(tmp_path, samples, DENSEPOSE_COCO)], DENSEPOSE_COCO)
    parser = HumanParser(KnownNetwork(samples), replace(CONFIG, keypoint_threshold=0.1, person_threshold=0.05)).eval()
    people = score_people(parser, dataset, range(3), [SIZE])
    assert people.right.tolist() == [True, True, True, True, False]
    assert people.score[:4].min() > people.score[4]
    assert people.certainty == pytest.approx(np.exp(8) / (np.exp(8) + 14), abs=1e-4)

    monkeypatch.setattr(command, "load_parser", lambda path: parser)
    monkeypatch.setattr(command, "open_split", lambda *_: (dataset, [0, 1, 2], []))
    monkeypatch.setitem(command.CANVASES, "standard", (SIZE,))
    assert main(["calibrate", "last.ckpt", str(tmp_path), "--num-images", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "5 people, 80% right (OKS over 0.5), detail standard"
    assert [part.partition("=")[0] for part in lines[-1].split()] == [
        "--decoder",
        "calibration",
        "calibration_part_weight",
    ]
