"""The speed of training: what is said of it, never how fast it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import training.studies.training_speed
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.__main__ import main
from training.config.train_config import Stage
from training.engine.sampler import AHEAD
from training.studies.training_speed import WARM_UP
from training.transforms.targets import Batch

T = DENSEPOSE_COCO


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [replace(draw_figures(T, (96, 96), 1 + i % 2, seed=i), key=f"image{i}") for i in range(5)]
    return write_folder(tmp_path_factory.mktemp("images"), samples, T)


def speed(folder: Path, *arguments: str) -> int:
    return main(["benchmark-train", "smoke", str(folder), "--input-size", "64x96", "--batch-size", "2", *arguments])


@pytest.mark.parametrize(("workers", "accumulate"), [(0, 1), (1, 2)])
def test_metrics(folder: Path, capsys: pytest.CaptureFixture[str], workers: int, accumulate: int) -> None:
    arguments = [
        "--steps",
        "1",
        "--num-workers",
        str(workers),
        "--set",
        f"gradient_accumulation_steps={accumulate}",
        "model.hidden_dim=16",
    ]
    assert speed(folder, *arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["recipe"], report["backbone"], report["precision"]) == ("smoke", "resnet18", "float32")
    assert (report["input_size"], report["batch_size"], report["gradient_accumulation_steps"]) == (
        [64, 96],
        2,
        accumulate,
    )
    assert (report["num_workers"], report["steps"], report["processes"]) == (workers, 1, 1)
    assert set(report["images_per_second"]) == {"step", "step_matching", "loader", "together"}
    assert min(report["images_per_second"].values()) > 0
    assert 0 <= report["data_time_fraction"] < 1
    assert 0 < report["waited_share"] < 1
    assert report["peak_memory_mib"] > 0
    assert report["machine"]["cpu"]


@pytest.mark.parametrize(("alone", "data_time_fraction"), [(3.0, 0.4), (9.0, 0.0)])
def test_arithmetic_with_a_clock_of_our_own(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    alone: float,
    data_time_fraction: float,
) -> None:
    """A batch of 2 loads in 2 s and is learnt from in 3 s, later in `alone`: noise never makes a share negative."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    loaded, learnt = [], []

    class TrainStep:
        def __init__(self, *parts: object) -> None:
            """Nothing to prepare."""

        def __call__(self, parts: object, rate: float, stage: Stage) -> None:
            learnt.append(stage.matching)
            clock.now += 3 if len(learnt) <= WARM_UP + 4 else 5 if stage.matching else alone

    def load_batches(*arguments: object) -> Iterator[tuple[torch.Tensor, ...]]:
        while True:
            clock.now += 2
            loaded.append(1)
            yield (torch.zeros(2),) * len(Batch._fields)

    for name, value in (("time", clock), ("TrainStep", TrainStep), ("load_batches", load_batches)):
        monkeypatch.setattr(training.studies.training_speed, name, value)
    assert speed(folder, "--steps", "4", "--num-workers", "3") == 0
    report = json.loads(capsys.readouterr().out)
    step = round(2 / alone, 2)
    assert report["images_per_second"] == {"loader": 1, "together": 0.4, "step": step, "step_matching": 0.4}
    assert (report["data_time_fraction"], report["waited_share"]) == (data_time_fraction, 0.4)
    assert len(loaded) == 1 + AHEAD * 3 + 4 + 4
    assert learnt == [True] * WARM_UP + [False] * 8 + [True] * 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "0 steps: measure at least one"),
        (["--set", "width=3"], "cannot set 'width=3'"),
        (["--set", "gradient_accumulation_steps=3"], "a batch of 2 cannot be divided"),
        (["--input-size", "64"], "cannot set 'input_size=64'"),
    ],
)
def test_invalid_arguments_are_refused(
    folder: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert speed(folder, *arguments) == 2
    assert message in capsys.readouterr().err
