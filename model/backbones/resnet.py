"""ResNet-18, -50 and -101 (He et al., CVPR 2016) with torchvision's names; the stride is in the 3x3 convolution."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from model.backbones.base import Backbone, Pyramid

Variant = Literal["resnet18", "resnet50", "resnet101"]


class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, channels * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, channels * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        out: Tensor = self.relu(y + (x if self.downsample is None else self.downsample(x)))
        return out


_Block = type[_BasicBlock] | type[_Bottleneck]

VARIANTS: dict[Variant, tuple[_Block, tuple[int, int, int, int]]] = {  # the block, and how many a stage has
    "resnet18": (_BasicBlock, (2, 2, 2, 2)),
    "resnet50": (_Bottleneck, (3, 4, 6, 3)),
    "resnet101": (_Bottleneck, (3, 4, 23, 3)),
}


class ResNet(Backbone):
    """Stages conv2_x to conv5_x are X_1..X_4; the paper's backbone is `resnet101`."""

    discarded = ("fc",)

    def __init__(self, variant: Variant) -> None:
        super().__init__()
        block, counts = VARIANTS[variant]
        expansion = block.expansion
        self.channels = (64 * expansion, 128 * expansion, 256 * expansion, 512 * expansion)
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(block, 64, 64, counts[0], stride=1)
        self.layer2 = _stage(block, self.channels[0], 128, counts[1], stride=2)
        self.layer3 = _stage(block, self.channels[1], 256, counts[2], stride=2)
        self.layer4 = _stage(block, self.channels[2], 512, counts[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))  # b 64 H/4 W/4
        x1 = self.layer1(x)  # b c1 H/4 W/4
        x2 = self.layer2(x1)  # b c2 H/8 W/8
        x3 = self.layer3(x2)  # b c3 H/16 W/16
        x4 = self.layer4(x3)  # b c4 H/32 W/32
        return x1, x2, x3, x4


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """A projection where the block changes the shape, else None: the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _stage(block: _Block, in_channels: int, channels: int, count: int, stride: int) -> nn.Sequential:
    first = block(in_channels, channels, stride)
    return nn.Sequential(first, *(block(channels * block.expansion, channels, 1) for _ in range(count - 1)))
