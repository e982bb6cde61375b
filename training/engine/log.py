"""Training log: log.csv with a row every few steps; epochs.csv with a row per epoch, which is also printed."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from model import legacy_names
from model.errors import InputError
from training.engine.distributed import DistEnv
from training.engine.validation import Metrics
from training.losses.dense_losses import TYPICAL

METRICS = ("mIoU", "APp50", "PCP50", "mask_IoU", "keypoint_AP")
LOSSES = (*TYPICAL, "loss", "grad_norm")
ALIVE = "alive"  # share of the backbone's pretrained channels that still vary
HEAD = ("step", "epoch", "lr", "seconds", "data_time_fraction")


class CsvLogger:
    """A CSV file that a resumed run continues after `step`: rows of later steps, which are repeated, are dropped."""

    def __init__(self, path: Path, columns: Sequence[str], step: int) -> None:
        self.path, self.columns = path, columns
        kept = []
        if step and path.exists():
            with path.open(newline="") as file:
                rows = [legacy_names.current(row, legacy_names.LOG) for row in csv.DictReader(file)]
                kept = [row for row in rows if int(row["step"]) <= step]
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(kept)

    def add(self, row: dict[str, object]) -> None:
        """Append a row; missing values stay empty."""
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns).writerow(row)


class AverageMeter:
    """Averages since the last reading: losses, seconds, and the share of the time spent waiting for images."""

    def __init__(self, processes: DistEnv) -> None:
        self.processes = processes
        self._restart()

    def add(self, values: dict[str, Tensor], waited: float) -> None:
        """Add one step's values; nothing is copied from the device until they are read."""
        for name, value in values.items():
            total, count = self.sums.get(name, (torch.zeros_like(value), 0))
            self.sums[name] = (total + value, count + 1)
        self.waited += waited

    def read(self) -> dict[str, float]:
        """Return the averages and restart. All processes must call it: losses of a batch's parts add up over them."""
        seconds = time.monotonic() - self.started
        means = {name: float(self.processes.all_reduce(total)) / count for name, (total, count) in self.sums.items()}
        means |= {"seconds": seconds, "data_time_fraction": self.waited / seconds}
        self._restart()
        return means

    def _restart(self) -> None:
        self.sums: dict[str, tuple[Tensor, int]] = {}
        self.waited, self.started = 0.0, time.monotonic()


class TrainLogger:
    """Writes both files of a run, the lines on the terminal and, if `tensorboard`, TensorBoard scalars."""

    def __init__(self, run: Path, step: int, tensorboard: bool = False) -> None:
        weights = [f"task_weight_{task}" for task in TYPICAL]
        self.steps = CsvLogger(run / "log.csv", [*HEAD, *LOSSES, *weights], step)
        self.epochs = CsvLogger(run / "epochs.csv", [*HEAD, *LOSSES, ALIVE, *METRICS], step)
        self.titled = False
        self.board = _board(run, step) if tensorboard else None

    def step(self, where: dict[str, float], means: dict[str, float], weights: dict[str, float]) -> str:
        """Add a row; returns the losses as a short text."""
        means = {**means, **{f"task_weight_{task}": value for task, value in weights.items()}}
        self.steps.add({**where, **means})
        self._show("train", where, {"lr": where["lr"], **means})
        return " ".join(f"{task} {means[task]:.3f}" for task in TYPICAL if task in means)

    def epoch(self, where: dict[str, float], means: dict[str, float], metrics: Metrics) -> None:
        """Add a row, and print it below its titles."""
        self.epochs.add({**where, **means, **metrics})
        self._show("val", where, metrics)
        columns = ("epoch", "lr", "loss", *METRICS, ALIVE, "data_time_fraction")  # the file has all
        values = {**where, **means, **metrics}
        if not self.titled:
            tqdm.write("  ".join(f"{name:>10}" for name in columns))
            self.titled = True
        tqdm.write("  ".join(_cell(values.get(name)) for name in columns))

    def _show(self, group: str, where: dict[str, float], values: Mapping[str, float | None]) -> None:
        """Write TensorBoard scalars if enabled."""
        for name, value in values.items():
            if self.board is not None and value is not None:
                self.board.add_scalar(f"{group}/{name}", value, int(where["step"]))


def _board(run: Path, step: int) -> Any:
    """Return a `SummaryWriter` that replaces scalars after `step`. Raises InputError if tensorboard is missing."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError("tensorboard=true needs the package tensorboard: pip install tensorboard") from None
    return SummaryWriter(str(run), purge_step=step + 1)


def _cell(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.4g'):>10}"
