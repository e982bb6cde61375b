"""Dead channels: checks that pretrained features stay alive during training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from model.backbones.base import Backbone
from model.errors import UserError
from model.network import Network

LEAST_ALIVE = 0.95  # share of living channels below which a run stops
_SHARE = 1e-3  # a living channel keeps at least so much of its deviation before training


class DeadBackboneError(UserError):
    """Training has destroyed pretrained features. The message names the layers and the remedy."""


class ChannelHealth:
    """Tracks every pretrained channel: the inputs of the backbone's layers, i.e. what activations let through.

    Args:
        network: with pretrained weights, before training.
        canvases: uint8 [B, H, W, 3], on which channels are measured, now and later.
    """

    def __init__(self, network: Network, canvases: Tensor) -> None:
        self.canvases = canvases
        self.before = channel_deviations(network, canvases)

    def alive(self, network: Network) -> dict[str, float]:
        """Return the share of living channels by layer; layers whose channels never varied are omitted."""
        return _shares(self._living(network))

    def check(self, network: Network) -> float:
        """Return the share of living channels over all layers.

        Raises DeadBackboneError if it is below `LEAST_ALIVE`.
        """
        layers = self._living(network)
        share = float(torch.cat(list(layers.values())).float().mean()) if layers else 1.0
        if share < LEAST_ALIVE:
            worst = sorted(_shares(layers).items(), key=lambda item: item[1])[:3]
            named = ", ".join(f"{name} {alive:.0%}" for name, alive in worst)
            raise DeadBackboneError(
                f"only {share:.1%} of the backbone's pretrained channels still vary (worst inputs: {named}): start "
                "again from the public weights with a lower learning rate or backbone_lr_mult, and with "
                "normalize_pretrained=true"
            )
        return share

    def _living(self, network: Network) -> dict[str, Tensor]:
        """Return bool by layer: which channels that varied before training still do; omits layers without any."""
        now = channel_deviations(network, self.canvases)
        varied = {name: before > 0 for name, before in self.before.items()}
        return {name: now[name][mask] > _SHARE * self.before[name][mask] for name, mask in varied.items() if mask.any()}

    def state(self) -> dict[str, Tensor]:
        """Return the state to resume from."""
        return {"canvases": self.canvases, **{f"before.{name}": value for name, value in self.before.items()}}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.canvases = state["canvases"]
        self.before = {name.removeprefix("before."): v for name, v in state.items() if name.startswith("before.")}


def _shares(layers: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(living.float().mean()) for name, living in layers.items()}


@torch.no_grad()
def channel_deviations(network: Network, canvases: Tensor) -> dict[str, Tensor]:
    """Return, by pretrained layer, the standard deviation [C] of each input channel over the images and their pixels.

    The backbone's outputs count as the inputs of layers that follow, under the names X_1..X_4.
    """
    found: dict[str, Tensor] = {}
    training = network.training
    with _watched(network.backbone, found):
        network.eval()
        device = next(network.parameters()).device
        levels = network.backbone(network.normalized(canvases.to(device)))
    network.train(training)
    return found | {f"X_{i}": _deviation(level, 1) for i, level in enumerate(levels, start=1)}


@contextmanager
def _watched(backbone: Backbone, found: dict[str, Tensor]) -> Iterator[None]:
    def watch(name: str, axis: int) -> object:
        def hook(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            found[name] = _deviation(inputs[0], axis)

        return hook

    hooks = [
        layer.register_forward_pre_hook(watch(name, 1 if isinstance(layer, nn.Conv2d) else -1))  # type: ignore[arg-type]
        for name, layer in backbone.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and backbone.is_pretrained(name)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _deviation(x: Tensor, axis: int) -> Tensor:
    channels = x.detach().float().movedim(axis, 0).flatten(1)  # [C, ...]
    deviation = channels.std(1)
    # A constant channel deviates by rounding alone.
    return torch.where(deviation > 1e-6 * channels.abs().amax(1), deviation, 0.0).cpu()
