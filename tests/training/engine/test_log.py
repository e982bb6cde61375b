from __future__ import annotations

import csv
import sys
import types
from pathlib import Path

import pytest

from model.errors import InputError
from training.engine.log import TrainLogger

WHERE = {"step": 20, "epoch": 1.0, "lr": 0.1}


def test_scalars_are_written_for_tensorboard_under_their_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: dict[str, tuple[float, int]] = {}

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int) -> None:
            assert (folder, purge_step) == (str(tmp_path), 11)

        def add_scalar(self, name: str, value: float, step: int) -> None:
            written[name] = value, step

    module = types.SimpleNamespace(SummaryWriter=SummaryWriter)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)  # type: ignore[arg-type]
    log = TrainLogger(tmp_path, 10, tensorboard=True)
    log.step(WHERE, {"loss": 2.0}, {"parts": 3.0})
    log.epoch(WHERE, {"loss": 2.0}, {"mIoU": 0.5, "PCP50": None})
    assert written == {
        "train/lr": (0.1, 20), "train/loss": (2.0, 20), "train/task_weight_parts": (3.0, 20), "val/mIoU": (0.5, 20),
    }  # fmt: skip


def test_tensorboard_that_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # type: ignore[arg-type]
    TrainLogger(tmp_path, 0)
    with pytest.raises(InputError, match="pip install tensorboard"):
        TrainLogger(tmp_path, 0, tensorboard=True)


def test_log_of_an_earlier_version_is_continued_under_todays_columns(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,lr,data_share,total,weight_parts,gradient_norm\n20,0.1,0.2,2.5,3.5,4.5\n")
    TrainLogger(tmp_path, 20).step({**WHERE, "step": 40}, {"loss": 1.5}, {"parts": 2.5})
    with (tmp_path / "log.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert [first[name] for name in ("data_time_fraction", "loss", "task_weight_parts", "grad_norm")] == [
        "0.2", "2.5", "3.5", "4.5",
    ]  # fmt: skip
    assert (second["step"], second["loss"], second["task_weight_parts"]) == ("40", "1.5", "2.5")
