"""One step of the optimizer, for any number of forward passes and processes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.errors import InputError
from training.config.train_config import Stage, TrainConfig
from training.engine.distributed import DistEnv
from training.losses.dense_losses import Normalizers, count_labels
from training.losses.model_with_loss import ModelWithLoss
from training.transforms.targets import Batch


class TrainStep:
    """One step of the optimizer, for any number of forward passes and processes."""

    def __init__(
        self, config: TrainConfig, objective: ModelWithLoss, optimizer: torch.optim.Optimizer, processes: DistEnv
    ) -> None:
        self.config, self.optimizer, self.processes = config, optimizer, processes
        self.network = objective.network
        self.levels = 1 if config.model.projection == "direct" else 4
        self.losses = torch.zeros((), device=processes.device)  # since the last check
        self.objective: ModelWithLoss | DistributedDataParallel = objective
        if processes.world_size > 1:
            devices = [processes.device] if processes.device.type == "cuda" else None
            self.objective = DistributedDataParallel(objective, device_ids=devices)

    def __call__(self, parts: Sequence[Batch], rate: float, stage: Stage) -> dict[str, Tensor]:
        """Update the weights with the batches of this process. Returns their part of each loss, and the gradient norm.

        Does not wait for a GPU: there, `check` finds a loss that is not finite. On a CPU this raises as `check` does.
        """
        device, processes = self.processes.device, self.processes
        backbone_lr_mult = self.config.backbone_lr_mult if stage.backbone_lr_mult is None else stage.backbone_lr_mult
        parts = [Batch(*(tensor.to(device, non_blocking=True) for tensor in part)) for part in parts]
        counted = [count_labels(part, self.levels) for part in parts]
        counts = Normalizers(
            *(processes.all_reduce(torch.stack(column).sum(0)) for column in zip(*counted, strict=True))
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate * (backbone_lr_mult if group["pretrained"] else 1.0)
        self.optimizer.zero_grad(set_to_none=True)
        share = 1 / (processes.world_size * len(parts))
        values: dict[str, Tensor] = {}
        for i, part in enumerate(parts):
            with self._exchange(last=i == len(parts) - 1):
                total, losses = self.objective(part, counts, stage.matching, share)
                self.losses += total.detach()
                if device.type == "cpu":  # where nothing waits for it, and gradients of warped NaNs crash torch
                    self.check()
                (
                    total * processes.world_size
                ).backward()  # gradients of processes are averaged; here they must be added
            for name, value in {**losses, "loss": total.detach()}.items():
                values[name] = values.get(name, 0.0) + value
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.config.max_grad_norm)
        self.optimizer.step()
        return {**values, "grad_norm": norm / processes.world_size}

    def check(self) -> None:
        """Raise InputError if a loss since the last call was not finite."""
        if not self.losses.isfinite():
            raise InputError(
                f"the loss is {float(self.losses)}: continue from the last checkpoint, "
                "with a lower learning rate or precision=float32"
            )
        self.losses.zero_()

    def _exchange(self, last: bool) -> AbstractContextManager[None]:
        """Synchronize gradients between processes only in the last pass of a step."""
        if isinstance(self.objective, DistributedDataParallel) and not last:
            return self.objective.no_sync()
        return nullcontext()
