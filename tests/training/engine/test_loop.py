from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from model.checkpoint import CheckpointError, load_parser, read_checkpoint
from model.config import ModelConfig
from model.decoder.decode import Decoder
from model.network import Network
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.__main__ import main
from training.config.recipes import RECIPES
from training.config.train_config import Stage, TrainConfig
from training.data.datasets.folders import FolderDataset
from training.engine import loop
from training.engine.distributed import DistEnv
from training.engine.optimizer import moving_average
from training.engine.sampler import load_batches
from training.engine.schedule import Schedule
from training.engine.train_step import TrainStep
from training.losses.model_with_loss import ModelWithLoss
from training.transforms.targets import collate
from training.transforms.training_set import TrainingSet


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("images")
    samples = [draw_figures(DENSEPOSE_COCO, (96, 128), people=2, seed=seed) for seed in range(6)]
    write_folder(root, samples, DENSEPOSE_COCO)
    return root


def config(**changes: object) -> TrainConfig:
    small = RECIPES["smoke"]()
    model = ModelConfig(backbone="resnet18", hidden_dim=16)
    values = {
        "stages": (Stage(steps=4, learning_rate=1e-3, warmup_steps=1),),
        "input_size": (64, 64),
        "batch_size": 2,
        **changes,
    }
    return dataclasses.replace(small, model=model, **values)


def training_set(folder: Path, recipe: TrainConfig) -> TrainingSet:
    data = FolderDataset([folder], DENSEPOSE_COCO)
    return TrainingSet(data, range(len(data)), recipe)


def weights(path: Path) -> torch.Tensor:
    return torch.cat([v.flatten().float() for v in read_checkpoint(path)["weights"].values()])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_stage_may_override_the_input_size(folder: Path) -> None:
    recipe = config(
        stages=(Stage(steps=2, learning_rate=1e-3), Stage(steps=2, learning_rate=1e-3, input_size=(96, 128))),
        gradient_accumulation_steps=2,
    )
    data = training_set(folder, recipe)
    batches = load_batches(
        data, recipe, Schedule(recipe.stages, data.epoch_steps), 1, DistEnv(0, 1, torch.device("cpu"))
    )
    sizes = [tuple(next(batches).image.shape) for _ in range(6)]  # from step 1 on, two a step
    assert sizes == [(1, 64, 64, 3)] * 2 + [(1, 96, 128, 3)] * 4


def test_a_run_goes_through_its_stages_and_leaves_checkpoint_logs_and_pictures(tmp_path: Path, folder: Path) -> None:
    recipe = config(stages=(Stage(epochs=1, learning_rate=1e-3), Stage(steps=1, learning_rate=1e-4, matching=True)))
    last = loop.train(recipe, training_set(folder, recipe), [0, 1], tmp_path)
    parser = load_parser(last)
    assert parser.network.config == recipe.model
    steps, epochs = rows(tmp_path / "log.csv"), rows(tmp_path / "epochs.csv")
    assert [(row["step"], float(row["lr"])) for row in steps] == [("4", 1e-4)]
    assert float(steps[0]["parts"]) > 0
    assert float(steps[0]["task_weight_parts"]) > 0
    assert [row["step"] for row in epochs] == ["3", "4"]
    assert epochs[0]["matching"] == ""
    assert float(epochs[1]["matching"]) >= 0
    assert 0 <= float(epochs[0]["mIoU"]) <= 1
    for step in (3, 4):
        assert (tmp_path / f"preview-{step:06d}.jpg").stat().st_size > 1000


def command(folder: Path, run: Path, *options: str) -> list[str]:
    small = [
        "input_size=64,64",
        "batch_size=4",
        "model.hidden_dim=16",
        "num_val_images=0",
        "checkpoint_interval_s=0",
        "optimizer=sgd",
    ]
    small.append("decoder.keypoint_threshold=0.001")  # untrained maps have candidates then: the matching loss works
    return ["train", "smoke", str(folder), "--out", str(run), *options, "--set", *small]


def test_a_killed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path: Path, folder: Path) -> None:
    assert main([*command(folder, tmp_path / "whole", "--steps", "12"), "num_workers=1"]) == 0
    killed = [*command(folder, tmp_path / "killed", "--steps", "12"), "num_workers=1"]
    last = tmp_path / "killed" / "last.ckpt"
    with subprocess.Popen([sys.executable, "-m", "training", *killed], start_new_session=True) as process:
        while process.poll() is None and not last.exists():
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert 0 < read_checkpoint(last)["step"] < 12
    assert main(killed) == 0
    assert torch.equal(weights(tmp_path / "whole/last.ckpt"), weights(last))
    whole, resumed = (rows(tmp_path / run / "log.csv") for run in ("whole", "killed"))
    assert [row["step"] for row in resumed] == [row["step"] for row in whole]


def test_two_processes_train_as_one(tmp_path: Path, folder: Path) -> None:
    """With gradient accumulation, in both stages; the batch norms see the whole batch."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    both = command(folder, tmp_path / "both", "--steps", "5")
    run = subprocess.run([*torchrun, "-m", "training", *both], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("images to train on") == 1
    assert main(command(folder, tmp_path / "one", "--steps", "5")) == 0
    both_rows, one_rows = (rows(tmp_path / name / "log.csv") for name in ("both", "one"))
    assert float(one_rows[0]["matching"]) > 0
    for column in ("parts", "projection", "heatmap", "offset", "limb", "matching", "grad_norm", "task_weight_parts"):
        assert float(both_rows[0][column]) == pytest.approx(float(one_rows[0][column]), rel=1e-4), column
    torch.testing.assert_close(
        weights(tmp_path / "both/last.ckpt"), weights(tmp_path / "one/last.ckpt"), rtol=1e-4, atol=1e-5
    )


def test_two_accumulated_passes_train_as_one(tmp_path: Path, folder: Path) -> None:
    """But for batch norm, which sees the pass alone; with stored statistics the gradients are the same."""
    recipe = config(batch_size=4)
    network = Network(recipe.model)
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    objective = ModelWithLoss(network, Decoder(DENSEPOSE_COCO, recipe.decoder))
    data = training_set(folder, recipe)
    items = [data[0, i] for i in range(4)]
    halves = [collate(items[:2]), collate(items[2:])]
    gradients = []
    for parts in ([collate(items)], halves):
        optimizer = torch.optim.SGD(objective.parameters(), lr=0)
        optimizer.param_groups[0]["pretrained"] = False
        stage = Stage(learning_rate=0.0, steps=1, matching=True)
        TrainStep(recipe, objective, optimizer, DistEnv(0, 1, torch.device("cpu")))(parts, 0.0, stage)
        gradients.append(torch.cat([p.grad.flatten() for p in objective.parameters() if p.grad is not None]))
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-3, atol=1e-6)


def test_a_batch_that_cannot_be_divided_is_refused(tmp_path: Path, folder: Path) -> None:
    recipe = config(gradient_accumulation_steps=3)
    with pytest.raises(ValueError, match="a batch of 2 cannot be divided by 1 processes times 3 passes"):
        loop.train(recipe, training_set(folder, recipe), [], tmp_path)


def test_fewer_images_than_a_batch_are_shown_several_times(tmp_path: Path, folder: Path) -> None:
    recipe = config(batch_size=16, stages=(Stage(epochs=2, learning_rate=1e-3),))
    last = loop.train(recipe, training_set(folder, recipe), [], tmp_path)
    assert read_checkpoint(last)["step"] == 2


def test_bfloat16_trains_the_same_to_its_precision(tmp_path: Path, folder: Path) -> None:
    losses = []
    for precision in ("float32", "bfloat16"):
        recipe = config(precision=precision, optimizer="sgd")
        loop.train(recipe, training_set(folder, recipe), [], tmp_path / precision)
        losses.append(rows(tmp_path / precision / "log.csv")[0])
    for task in ("parts", "projection", "heatmap", "offset", "limb"):
        assert float(losses[1][task]) == pytest.approx(float(losses[0][task]), rel=0.05), task
        assert losses[1][task] != losses[0][task]


def test_training_lowers_the_loss(tmp_path: Path, folder: Path) -> None:
    """Not how well: within 40 steps on the same few pictures every task's loss falls."""
    stages = (Stage(steps=40, learning_rate=4e-3, warmup_steps=2),)
    recipe = config(color_jitter=0.0, hflip_prob=0.0, rotation=0.0, scale=(1.0, 1.0), stages=stages)
    loop.train(recipe, training_set(folder, recipe), [], tmp_path)
    log = rows(tmp_path / "log.csv")
    for task in ("parts", "projection", "heatmap", "offset", "limb"):
        assert float(log[-1][task]) < 0.93 * float(log[0][task]), task


def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, folder: Path) -> None:
    recipe = config(stages=(Stage(steps=4, learning_rate=1e30),), optimizer="sgd")
    with pytest.raises(ValueError, match=r"the loss is -?(nan|inf): .* lower learning rate"):
        loop.train(recipe, training_set(folder, recipe), [], tmp_path)


@pytest.mark.parametrize("change", [{"batch_size": 3}, {"model": ModelConfig(backbone="resnet18", hidden_dim=32)}])
def test_a_run_folder_of_another_recipe_is_refused(tmp_path: Path, folder: Path, change: dict[str, object]) -> None:
    loop.train(config(), training_set(folder, config()), [], tmp_path)
    other = config(**change) if "batch_size" in change else dataclasses.replace(config(), **change)
    with pytest.raises(CheckpointError, match=f"another {next(iter(change))}; choose another --out folder"):
        loop.train(other, training_set(folder, other), [], tmp_path)


def test_the_command_reports_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "smoke", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_the_moving_average_forgets_the_untrained_weights() -> None:
    average, counter, update = [torch.zeros(1)], [torch.tensor(0)], moving_average(0.998)
    for step in range(200):
        update(average, [torch.ones(1)], step)
        update(counter, [torch.tensor(step)], step)
    assert average[0] > 0.999
    assert counter[0] == 199
    slow = [torch.zeros(1)]
    moving_average(0.998)(slow, [torch.ones(1)], 10**6)
    assert slow[0] == pytest.approx(0.002, rel=1e-3)
