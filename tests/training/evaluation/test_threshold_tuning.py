"""Thresholds chosen for a network whose certainty is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import training.commands.tune_decoder as command
from model.parser import HumanParser
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from tests.training.evaluation.known_network import CONFIG, GHOST, SIZE, SURE, KnownNetwork, known_samples
from training.__main__ import main
from training.data.datasets.folders import FolderDataset
from training.data.samples import Sample
from training.evaluation.threshold_tuning import CHOICES, PASSES, Trial, select_images, tune_thresholds


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return known_samples()


@pytest.fixture(scope="module")
def folder(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("images"), samples, DENSEPOSE_COCO)


def by_threshold(trials: list[Trial]) -> dict[float, Trial]:
    """Of those that differ from the first decoder in a joint's threshold at most."""
    rest = {name: getattr(CONFIG, name) for name in CHOICES if name != "keypoint_threshold"}
    same = [t for t in trials if all(getattr(t.config, name) == value for name, value in rest.items())]
    return {trial.config.keypoint_threshold: trial for trial in same}


def test_tuned_thresholds_find_people_and_no_false_positives(samples: list[Sample], folder: Path) -> None:
    dataset = FolderDataset([folder], DENSEPOSE_COCO)
    parser = HumanParser(KnownNetwork(samples), CONFIG).eval()
    trials = tune_thresholds(parser, dataset, range(3), [SIZE])
    assert GHOST < trials[0].config.keypoint_threshold < SURE
    assert trials[0].keypoint_ap > 0.95
    assert trials[0].mask_iou > 0.7  # arms of such small figures are a cell wide
    assert trials[0].true_negative_rate == 1
    assert [t.objective for t in trials] == sorted((t.objective for t in trials), reverse=True)
    own, ghostly = by_threshold(trials)[CONFIG.keypoint_threshold], by_threshold(trials)[0.1]
    assert (own.keypoint_ap, own.true_negative_rate) == (0, 1)
    assert ghostly.true_negative_rate == 0
    assert ghostly.objective == pytest.approx(ghostly.keypoint_ap + ghostly.mask_iou - 0.95)
    assert len({t.config for t in trials}) == len(trials) <= 1 + PASSES * sum(map(len, CHOICES.values()))


def test_the_command_prints_the_options_of_export(
    samples: list[Sample], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "load_parser", lambda path: HumanParser(KnownNetwork(samples), CONFIG).eval())
    monkeypatch.setattr(command, "open_split", lambda *_: (FolderDataset([folder], DENSEPOSE_COCO), [0, 1, 2], []))
    monkeypatch.setitem(command.CANVASES, "standard", (SIZE,))
    assert main(["tune-decoder", "last.ckpt", str(folder), "--num-images", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("trials on 3 images that were trained on, detail standard")
    assert lines[2].split(" | ")[1:4] == ["keypoint AP", "mask IoU", "TNR"]
    assert len(lines[4:-2]) == command.SHOWN
    assert lines[-1].startswith("--decoder peak_window=")
    assert [part.partition("=")[0] for part in lines[-1].split()[1:]] == list(CHOICES)


def test_no_images_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-decoder", str(tmp_path / "last.ckpt"), str(tmp_path), "--num-images", "0"]) == 2
    assert "choose on at least one" in capsys.readouterr().err


def test_human_annotated_images_are_preferred_and_person_free_ones_added(tmp_path: Path) -> None:
    def figures(people: int, seed: int) -> Sample:
        return draw_figures(DENSEPOSE_COCO, (32, 32), people=people, seed=seed)

    real = write_folder(tmp_path / "real", [figures(1, seed) for seed in range(5)], DENSEPOSE_COCO)
    empty = write_folder(tmp_path / "empty", [figures(0, seed) for seed in range(5, 9)], DENSEPOSE_COCO)
    drawn = write_folder(tmp_path / "drawn", [figures(1, seed) for seed in range(9, 12)], DENSEPOSE_COCO, "synthetic")
    dataset = FolderDataset([real, empty, drawn], DENSEPOSE_COCO)
    chosen = select_images(dataset, range(12), 4)
    assert [dataset.records[i].negative for i in chosen] == [False] * 4 + [True] * 4
    assert {dataset.records[i].source for i in chosen} == {"coco-sports"}
    assert select_images(FolderDataset([drawn], DENSEPOSE_COCO), range(3), 9) == [0, 1, 2]
    assert np.all(np.diff(chosen[:4]) > 0)
