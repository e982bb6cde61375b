"""The checkpoint of a run: the state that a resumed run continues from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim.swa_utils import AveragedModel

from model.checkpoint import CheckpointError, read_checkpoint, save_checkpoint
from training.config.train_config import TrainConfig
from training.engine.channel_health import ChannelHealth
from training.engine.schedule import Schedule
from training.engine.unit_rms import load_plain_state, plain_state

LAST = "last.ckpt"
FREE = (
    "num_workers",
    "gradient_accumulation_steps",
    "num_val_images",
    "checkpoint_interval_s",
    "tensorboard",
)  # may differ when a run is resumed: the weights do not depend on them


def run_identity(config: TrainConfig, schedule: Schedule, licenses: Sequence[str]) -> dict[str, Any]:
    """Return all settings that a run's weights depend on, in plain types."""
    values = {name: value for name, value in dataclasses.asdict(config).items() if name not in FREE}
    return {**values, "lengths": list(schedule.lengths), "licenses": list(licenses) or None}  # None: as in older files


@dataclass(frozen=True)
class RunCheckpoint:
    """Saves and restores the state of a run at `path`."""

    path: Path
    config: TrainConfig
    identity: dict[str, Any]  # see `run_identity`
    parts: dict[str, Any]  # stored by their state dicts
    average: AveragedModel
    health: ChannelHealth | None
    record: dict[str, Any]  # stored as it is

    def save(self, step: int) -> None:
        """Write the checkpoint."""
        save_checkpoint(
            self.path, plain_state(self.average.module), self.config.model, self.config.decoder,
            step=step, identity=self.identity, averaged=int(self.average.n_averaged),
            health=self.health and self.health.state(),
            **self.record, **{name: part.state_dict() for name, part in self.parts.items()},
        )  # fmt: skip

    def resume(self) -> int:
        """Load the checkpoint, if there is one; returns the step it was written at, else 0.

        Raises CheckpointError if it is of a run with another identity.
        """
        if not self.path.exists():
            return 0
        value = read_checkpoint(self.path)
        other = sorted(name for name, own in self.identity.items() if value.get("identity", {}).get(name) != own)
        if other:
            raise CheckpointError(
                f"{self.path} was trained with another {', '.join(other)}; choose another --out folder"
            )
        for name, part in self.parts.items():
            part.load_state_dict(value[name])
        load_plain_state(self.average.module, value["weights"])
        if self.health is not None and value["health"] is not None:
            self.health.load_state(value["health"])
        self.average.n_averaged.fill_(value["averaged"])
        return int(value["step"])
