"""The layers that `model.network` joins: blocks, heads and the projection field.

Axes: B images, h x w cells of a pyramid level, W_ channels (`ModelConfig.hidden_dim`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EXPANSION = 4  # channels inside a residual block, over those outside


class MapConv(nn.Conv2d):
    """A 1x1 convolution to several maps, whose channels follow each other in its weights."""

    def __init__(self, channels: int, outputs: tuple[int, ...]) -> None:
        super().__init__(channels, sum(outputs), 1)
        self.outputs = outputs

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """[B, channels, h, w] to a [B, ., h, w] for each of the outputs."""
        return super().forward(x).split(self.outputs, dim=1)  # type: ignore[no-untyped-call, no-any-return]

    @torch.no_grad()
    def divided(self) -> MapConvs:
        """As a convolution for each map, `0` the first: a runtime splits channels slowly."""
        layers = MapConvs(nn.Conv2d(self.in_channels, channels, 1) for channels in self.outputs)
        for own, parameter in self.named_parameters(recurse=False):
            for layer, value in zip(layers, torch.split(parameter, list(self.outputs)), strict=True):
                layer.get_parameter(own).copy_(value)
        return layers


class MapConvs(nn.ModuleList):
    """What `MapConv.divided` returns."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """As `MapConv`."""
        return tuple(layer(x) for layer in self)


class FeatureScale(nn.Module):
    """A fixed factor per channel that brings a backbone's features to about 1, for the layers that learn on them.

    It is 1 until `training` measures it on images.
    """

    factor: Tensor  # [1, C, 1, 1]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("factor", torch.ones(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w], scaled."""
        return x * self.factor.to(x.dtype)


class PyramidHead(nn.Module):
    """The light decoder of Eqs. 1 and 7: from X_4 up to stride 4, one 5x5 separable convolution a stage."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = nn.ModuleList([nn.Conv2d(width, width // 2, 1) for _ in range(3)])
        self.stage = nn.ModuleList([SeparableConv(width + width // 2, width) for _ in range(3)])

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Features [B, W_, H/4, W/4]."""
        x = levels[3]
        for fine in (2, 1, 0):
            x = self.stage[fine](torch.cat([upsample(x), self.skip[fine](levels[fine])], dim=1))
        return x


class ResidualBlock(nn.Module):
    """Adds what a 5x5 neighborhood says to each cell. It starts at zero: the network computes what it did without.

    Differs from the paper, whose ResNet-101 has layers enough; a mobile backbone's pyramid has few, and at stride 8 and
    coarser they cost little.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.features = SeparableConv(width, EXPANSION * width)
        self.project = nn.Conv2d(EXPANSION * width, width, 1)
        _start_at_zero(self.project)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w], changed."""
        out: Tensor = x + self.project(self.features(x))
        return out


class Refinement(nn.Module):
    """Corrections of part logits, projection field and pose maps, from both heads' features and the backbone's X_1.

    They start at zero: a network that was trained without them can go on with them.

    Differs from the paper: there, heads do not see each other, and X_1 reaches them through few channels. A backbone
    whose X_1 already says where joints are (MoveNet's) has more to say than those hold.
    """

    def __init__(self, channels: int, width: int, outputs: tuple[int, ...]) -> None:
        super().__init__()
        self.stage = nn.Sequential(
            nn.Conv2d(channels, width, 1), SeparableConv(width, width), SeparableConv(width, width)
        )
        self.corrections = MapConv(width, outputs)
        _start_at_zero(self.corrections)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """[B, channels, h, w] to a [B, ., h, w] for each of the outputs."""
        corrections: tuple[Tensor, ...] = self.corrections(self.stage(x))
        return corrections


class ProjectionField(nn.Module):
    """D_l, the way from each cell to the nearest joint of its person, in the four forms of Table 4.

    direct: one head over the fused pyramid. coarse_to_fine: Eq. 2. residual: Eq. 3 with bilinear upsampling.
    warped: Eq. 3 with the feature flow of Eqs. 4-6 (the paper's method).

    Differs from the paper: the flow starts at zero (plain bilinear upsampling) and learns from there.
    """

    def __init__(self, width: int, form: str) -> None:
        super().__init__()
        self.form = form
        if form == "direct":
            self.head = PyramidHead(width)
            self.vector = nn.Conv2d(width, 2, 1)
            return
        extra = 2 if form == "coarse_to_fine" else 0
        self.coarsest = VectorHead(width)  # D_4
        self.finer = nn.ModuleList([VectorHead(2 * width + extra) for _ in range(3)])
        if form == "warped":
            self.flow = nn.ModuleList([nn.Conv2d(2 * width, 2, 3, padding=1) for _ in range(3)])
            _start_at_zero(self.flow)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        """D_1..D_4 in cells of their own level; only D_1 for the direct form."""
        if self.form == "direct":
            return [self.vector(self.head(levels))]
        field = self.coarsest(levels[3])
        fields = [field]
        for fine in (2, 1, 0):
            x, coarse = levels[fine], upsample(levels[fine + 1])
            field = 2 * upsample(field)  # a vector is twice as many cells long at twice the resolution
            if self.form == "coarse_to_fine":
                field = self.finer[fine](torch.cat([x, coarse, field], dim=1))
            else:
                if self.form == "warped":
                    flow = self.flow[fine](torch.cat([x, coarse], dim=1))
                    coarse, field = torch.split(warp(torch.cat([coarse, field], dim=1), flow), [x.shape[1], 2], dim=1)
                field = field + self.finer[fine](torch.cat([x, coarse], dim=1))
            fields.append(field)
        return fields[::-1]


class VectorHead(nn.Module):
    """Features to a 2-D vector a cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = SeparableConv(channels, 64)
        self.vector = nn.Conv2d(64, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] to [B, 2, h, w]."""
        out: Tensor = self.vector(self.features(x))
        return out


class SeparableConv(nn.Sequential):
    """5x5 depthwise, then 1x1 with batch norm and ReLU.

    Nothing stands between the two: at stride 4 a norm and a ReLU more cost a quarter of a training step.
    """

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_in, 5, padding=2, groups=channels_in, bias=False),
            nn.Conv2d(channels_in, channels_out, 1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(inplace=True),
        )


def _start_at_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def upsample(x: Tensor, factor: int = 2) -> Tensor:
    """Bilinear, with cell centres aligned the way `model.frames` defines them."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=False)


def warp(x: Tensor, flow: Tensor) -> Tensor:
    """x read at u + F(u) (Eq. 6), borders repeated. x [B, C, h, w]; flow [B, 2, h, w], (x, y) in cells."""
    height, width = x.shape[-2:]
    column = torch.arange(width, dtype=x.dtype, device=x.device)
    row = torch.arange(height, dtype=x.dtype, device=x.device)
    # A cell's centre is at (i + 0.5) of the extent: a zero flow reads every cell itself (align_corners=False).
    grid_x = (column + flow[:, 0] + 0.5) * (2.0 / width) - 1.0  # [B, h, w]
    grid_y = (row[:, None] + flow[:, 1] + 0.5) * (2.0 / height) - 1.0
    grid = torch.stack([grid_x, grid_y], dim=-1)  # [B, h, w, 2]
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
