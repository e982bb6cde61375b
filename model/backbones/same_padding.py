"""TensorFlow's way of padding strided convolutions, for backbones whose weights were trained with it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Conv2dSame(nn.Conv2d):
    """TensorFlow's "same" convolution of an even height and width: odd padding has its extra pixel right and below.

    A canvas of whole multiples of 32 is even at every level that is halved.
    """

    def forward(self, input: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C', H/stride, W/stride]."""
        total = self.kernel_size[0] - self.stride[0]
        before, after = total // 2, total - total // 2
        return super().forward(F.pad(input, (before, after, before, after)))
