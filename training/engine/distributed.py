"""Distributed training: several processes started by `torchrun`, or a single one without it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class DistEnv:
    """The rank of this process among `world_size`, and the device it computes on."""

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """True for the process that writes files and prints."""
        return self.rank == 0

    def all_reduce(self, value: Tensor) -> Tensor:
        """Return the sum of `value` over all processes, without gradient."""
        if self.world_size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value


@contextmanager
def init_distributed() -> Iterator[DistEnv]:
    """Join the processes that `torchrun` started (it sets RANK, LOCAL_RANK and WORLD_SIZE); NCCL on GPUs, else gloo."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        yield DistEnv(0, 1, device)
        return
    dist.init_process_group("nccl" if gpu else "gloo")
    try:
        yield DistEnv(dist.get_rank(), count, device)
    finally:
        # DistributedDataParallel lies in a reference cycle and keeps the group's threads alive. Collected at the
        # interpreter's end, they would abort the process.
        gc.collect()
        dist.destroy_process_group()


class SyncBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm over the batch of all processes, so that a run does not depend on their number.

    torch's SyncBatchNorm does the same, but only on GPUs.
    """

    running_mean: Tensor  # [C]
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        """Normalize [B, C, h, w]."""
        if not self.training:
            return super().forward(x)
        sums = torch.cat([x.float().sum((0, 2, 3)), x.float().square().sum((0, 2, 3))])  # [2C]
        total = torch.full_like(sums[:1], x.numel() / x.shape[1])  # values of a channel
        everywhere: Tensor = _SumOverProcesses.apply(torch.cat([sums, total]))  # type: ignore[no-untyped-call]
        first, second, count = everywhere.split_with_sizes([x.shape[1], x.shape[1], 1])
        mean = first / count
        variance = second / count - mean.square()  # [C]
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1).clamp(min=1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        normalized: Tensor = x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)
        return normalized

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> Self:
        """Return a synchronized copy of `norm` that shares its parameters and buffers."""
        shared = cls(norm.num_features, eps=norm.eps, momentum=norm.momentum)
        shared.weight, shared.bias = norm.weight, norm.bias
        if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
            raise ValueError("a BatchNorm without stored statistics cannot be shared")
        shared.running_mean, shared.running_var = norm.running_mean, norm.running_var
        shared.num_batches_tracked = norm.num_batches_tracked
        return shared


def convert_sync_batchnorm(module: nn.Module) -> None:
    """Replace every trainable-statistics BatchNorm2d inside `module`; frozen ones, which are subclasses, stay."""
    for name, layer in list(module.named_modules()):
        if type(layer) is nn.BatchNorm2d:
            parent, _, child = name.rpartition(".")
            setattr(module.get_submodule(parent), child, SyncBatchNorm2d.of(layer))


class _SumOverProcesses(torch.autograd.Function):
    """Sum over processes with gradient: every result depends on all inputs, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: object, value: Tensor) -> Tensor:
        value = value.clone()
        dist.all_reduce(value)
        return value

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient
