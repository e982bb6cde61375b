"""Interface of all backbones."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from model.errors import InputError
from model.pose_prior import PosePrior

Pyramid = tuple[Tensor, Tensor, Tensor, Tensor]
StateDict = dict[str, Tensor]


class Backbone(nn.Module, ABC):
    """An image becomes the four levels X_1..X_4 of Eq. 1, at strides 4, 8, 16 and 32.

    Attributes:
        channels: channels of X_1..X_4.
        extras: top-level modules that no public checkpoint holds; all else is pretrained and bears public names.
        discarded: top-level entries of the public checkpoint that are of no use here, such as its classifier.
    """

    channels: tuple[int, int, int, int]
    extras: tuple[str, ...] = ()
    discarded: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""

    def forward_with_poses(self, image: Tensor) -> tuple[Pyramid, PosePrior]:
        """As `forward`, with the poses that a backbone predicts which was trained on people.

        Raises InputError for the others.
        """
        raise InputError(f"{type(self).__name__} predicts no poses: set model.pose_prior=false")

    def is_pretrained(self, name: str) -> bool:
        """Return whether the module, parameter or buffer `name` is part of the public checkpoint."""
        return name.split(".")[0] not in self.extras

    def pretrained_parameters(self) -> list[nn.Parameter]:
        """Those that a public checkpoint fills."""
        return [parameter for name, parameter in self.named_parameters() if self.is_pretrained(name)]

    def freeze_pretrained(self) -> None:
        """Train the extras alone."""
        for parameter in self.pretrained_parameters():
            parameter.requires_grad_(False)

    def freeze_stages(self, blocks: int) -> None:
        """Keep the stem and the first `blocks` blocks as they are. Raises InputError where there are not so many."""
        if blocks:
            raise InputError(f"{type(self).__name__} cannot keep some blocks alone: set frozen_stages=0")

    def convert_state_dict(self, state: StateDict) -> StateDict:
        """The public checkpoint as this backbone can load it."""
        return {name: value for name, value in state.items() if name.split(".")[0] not in self.discarded}
