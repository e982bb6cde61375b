"""Pretrained tensors as unit-RMS tensors times a fixed gain, so that Adam updates each in proportion to its size.

Adam changes every element by about the learning rate, regardless of its size. Public weights with folded batch norms
differ by orders of magnitude between tensors: a rate that suits one overwrites another within a few steps, and the
ReLU after it dies. Default weights 2 to 4 lost the best features of their backbone that way.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

_FLOOR = 1e-3  # smallest gain of a channel, relative to the tensor's


class UnitRms(nn.Module):
    """The parametrization weight = original * gain.

    The gain is the RMS of each output channel of a filter, and of the whole tensor for biases and other vectors.
    """

    gain: Tensor

    def __init__(self, value: Tensor) -> None:
        super().__init__()
        value = value.detach().float()
        total = value.square().mean().sqrt()
        dims = tuple(range(1, value.ndim))
        gain = value.square().mean(dims, keepdim=True).sqrt() if dims else total
        self.register_buffer("gain", torch.maximum(gain, _FLOOR * total))

    def forward(self, original: Tensor) -> Tensor:
        """Return the weight that the layer computes with."""
        return original * self.gain

    def right_inverse(self, weight: Tensor) -> Tensor:
        """Return the original of a weight."""
        return weight / self.gain


def normalize(module: nn.Module) -> None:
    """Parametrize every trainable parameter of `module` with `UnitRms`; its outputs stay the same.

    Parameters that are zero throughout have no size of their own and stay as they are.
    """
    for layer in list(module.modules()):
        for name, parameter in list(layer.named_parameters(recurse=False)):
            if parameter.requires_grad and parameter.any():
                parametrize.register_parametrization(layer, name, UnitRms(parameter))


def is_normalized(name: str) -> bool:
    """Return whether a parameter of this name is the original of a `UnitRms`."""
    return ".parametrizations." in f".{name}"


def plain_state(module: nn.Module) -> dict[str, Tensor]:
    """Return the state dict of `module` with weights instead of originals and gains, as without parametrization."""
    state = {name: value for name, value in module.state_dict().items() if not is_normalized(name)}
    for path, layer in module.named_modules():
        if parametrize.is_parametrized(layer):
            for name in layer.parametrizations:
                state[f"{path}.{name}" if path else name] = getattr(layer, name).detach()
    return state


@torch.no_grad()
def load_plain_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Load the output of `plain_state`. Raises KeyError if a parameter is missing."""
    for path, layer in module.named_modules():
        if parametrize.is_parametrized(layer):
            for name in layer.parametrizations:
                setattr(layer, name, state[f"{path}.{name}" if path else name])
    own = module.state_dict()
    module.load_state_dict({name: value if is_normalized(name) else state[name] for name, value in own.items()})
