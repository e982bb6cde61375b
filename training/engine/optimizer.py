"""The optimizer, and the moving average of the weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from training.config.train_config import TrainConfig
from training.engine.unit_rms import is_normalized
from training.losses.model_with_loss import ModelWithLoss

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Return an exponential moving average that forgets its start: over n steps it reaches back at most about n / 10.

    With a fixed decay of 0.998 the untrained weights would still make up a tenth of the average after 1,000 steps.
    """

    def update(average: Tensors, weights: Tensors, steps: Tensor | int) -> None:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        if average[0].is_floating_point():  # torch hands over tensors of one type
            torch._foreach_lerp_(average, weights, 1 - kept)  # one kernel on a GPU; torch's own average does the same
        else:
            torch._foreach_copy_(average, weights)  # counters

    return update


def make_optimizer(config: TrainConfig, objective: ModelWithLoss) -> torch.optim.Optimizer:
    """Build the optimizer with two learning rates, for pretrained and new layers.

    Biases, norms and the tasks' log-variances have no weight decay. Pretrained tensors that `unit_rms` normalizes have
    none either: it would shrink them. Each parameter group has the key "pretrained".
    """
    pretrained = {id(p) for p in objective.network.backbone.pretrained_parameters()}
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            decay = config.weight_decay if parameter.ndim > 1 and not is_normalized(name) else 0.0
            groups.setdefault((id(parameter) in pretrained, decay), []).append(parameter)
    listed = [{"params": p, "weight_decay": decay, "pretrained": known} for (known, decay), p in groups.items()]
    if config.optimizer == "sgd":
        return torch.optim.SGD(listed, lr=1.0, momentum=0.9)
    return torch.optim.AdamW(listed, lr=1.0)
