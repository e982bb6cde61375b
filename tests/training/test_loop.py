from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import pytest
import torch

from model.checkpoint import CheckpointError, load_parser, read_checkpoint
from model.config import ModelConfig
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training import loop
from training.__main__ import main
from training.config import RECIPES, TrainConfig
from training.datasets.folders import FolderDataset
from training.targets import TrainingSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    samples = [draw_figures(DENSEPOSE_COCO, (96, 128), people=2, seed=seed) for seed in range(6)]
    write_folder(root, samples, DENSEPOSE_COCO)
    return root


def config(**changes: object) -> TrainConfig:
    small = RECIPES["smoke"]()
    model = ModelConfig(backbone="resnet18", width=16)
    return dataclasses.replace(small, model=model, canvas=(64, 64), batch=2, steps=4, warmup=1, **changes)


def photos(folder: Path, recipe: TrainConfig) -> TrainingSet:
    data = FolderDataset([folder], DENSEPOSE_COCO)
    return TrainingSet(data, range(len(data)), recipe)


def weights(path: Path) -> torch.Tensor:
    return torch.cat([v.flatten().float() for v in read_checkpoint(path)["weights"].values()])


@pytest.mark.parametrize("matching", [False, True])
def test_both_steps_leave_a_checkpoint_a_log_and_a_picture(tmp_path: Path, folder: Path, matching: bool) -> None:
    recipe = config(matching=matching)
    last = loop.train(recipe, photos(folder, recipe), [0, 1], tmp_path, None, None)
    parser = load_parser(last)
    assert parser.network.config == recipe.model
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [4]
    assert float(rows[0]["parts"]) > 0
    assert ("matching" in rows[0]) == matching
    assert (tmp_path / "preview-000004.jpg").stat().st_size > 1000


def test_a_stopped_run_ends_with_the_weights_of_an_uninterrupted_one(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = config()
    whole = loop.train(recipe, photos(folder, recipe), [], tmp_path / "whole", None, None)

    class StoppedError(Exception):
        pass

    monkeypatch.setattr(loop, "SAVE_SECONDS", -1)  # a checkpoint after every step
    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "rate", _raise_at(2, StoppedError, loop.rate))
        with pytest.raises(StoppedError):
            loop.train(recipe, photos(folder, recipe), [], run, None, None)
    assert read_checkpoint(run / "last.ckpt")["step"] == 2
    resumed = loop.train(recipe, photos(folder, recipe), [], run, None, None)
    assert torch.equal(weights(whole), weights(resumed))


def _raise_at(step: int, error: type[Exception], rate):
    def raising(recipe: TrainConfig, now: int) -> float:
        if now == step:
            raise error
        return rate(recipe, now)

    return raising


def test_training_learns(tmp_path: Path, folder: Path) -> None:
    """Not how well: within 60 steps on the same few pictures every task's loss falls."""
    recipe = dataclasses.replace(config(colour=0.0, flip=0.0, rotation=0.0, scale=(1.0, 1.0)), steps=60, warmup=2)
    loop.train(recipe, photos(folder, recipe), [], tmp_path, None, None)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    for task in ("parts", "projection", "heatmap", "offset", "limb"):
        assert float(rows[-1][task]) < 0.93 * float(rows[0][task]), task


def test_a_run_folder_of_another_recipe_is_refused(tmp_path: Path, folder: Path) -> None:
    loop.train(config(), photos(folder, config()), [], tmp_path, None, None)
    other = dataclasses.replace(config(), model=ModelConfig(backbone="resnet18", width=32), steps=8)
    with pytest.raises(CheckpointError, match="choose another --run folder"):
        loop.train(other, photos(folder, other), [], tmp_path, None, None)


def test_the_schedules_warm_up_and_fall() -> None:
    cosine, drop = config(), dataclasses.replace(config(), schedule="drop")
    cosine, drop = (dataclasses.replace(c, steps=100, warmup=10) for c in (cosine, drop))
    assert loop.rate(cosine, 0) == pytest.approx(0.1)
    assert loop.rate(cosine, 10) == pytest.approx(1.0)
    assert loop.rate(cosine, 100) == pytest.approx(0.01)
    assert [loop.rate(drop, step) for step in (79, 80)] == [1.0, 0.1]


def test_the_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "smoke", str(tmp_path / "nowhere"), "--run", str(tmp_path / "run")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_moving_average_forgets_the_untrained_weights() -> None:
    average, update = [torch.zeros(1), torch.tensor(0)], loop.moving_average(0.998)
    for step in range(200):
        update(average, [torch.ones(1), torch.tensor(step)], step)
    assert average[0] > 0.999
    assert average[1] == 199
    slow = [torch.zeros(1)]
    loop.moving_average(0.998)(slow, [torch.ones(1)], 10**6)
    assert slow[0] == pytest.approx(0.002, rel=1e-3)
