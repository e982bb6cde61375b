"""What every backbone offers to the network and to the loader of public weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
StateDict = dict[str, Tensor]


class Backbone(nn.Module, ABC):
    """An image becomes the four levels X_1..X_4 of Eq. 1, at strides 4, 8, 16 and 32.

    Attributes:
        channels: channels of X_1..X_4.
        extras: names of the child modules that no public checkpoint holds; all else is pretrained and bears
            the public names.
    """

    channels: tuple[int, int, int, int]
    extras: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those that a public checkpoint fills."""
        return [p for name, p in self.named_parameters() if name.split(".")[0] not in self.extras]

    def freeze_pretrained(self) -> None:
        """Train the extras alone."""
        for parameter in self.pretrained_parameters():
            parameter.requires_grad_(False)

    @abstractmethod
    def adapt(self, state: StateDict) -> StateDict:
        """The public checkpoint without what this backbone leaves out, resampled where its shapes differ."""
