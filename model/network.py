"""The network of the paper: pyramid, part head, dense-to-sparse projection field, pose head.

Axes: B images, H x W canvas pixels, l pyramid level 1..4 at stride 2^(l+1), W_ channels (`ModelConfig.hidden_dim`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.backbones.base import Pyramid
from model.backbones.build import build_backbone
from model.config import STRIDE, ModelConfig
from model.heads import FeatureScale, MapConv, ProjectionField, PyramidHead, Refinement, ResidualBlock, upsample
from model.maps import HeadMaps
from model.pose_prior import PosePrior, disk_heatmaps, offsets_to_joints
from model.taxonomy import DENSEPOSE_COCO, get_taxonomy

IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
RADIUS_CELLS = 8.0  # offsets are learnt in units of the voting radius, so that the head's outputs are about 1
BODY_CELLS = 16.0  # and ways from a center to its joints in units of about half a body
# Logit that joints, limbs and centers start from: else the first steps only unlearn "maybe everywhere".
RARE = -3.0


class Network(nn.Module):
    """Canvas pixels to `HeadMaps`.

    Differs from the paper: the pyramid is an FPN without its 3x3 smoothing convolutions, because every consumer
    starts with a 5x5 convolution of its own. Centers are predicted beside joints. With `config.pose_prior` the pose
    maps are residuals to what the backbone predicts.

    Raises:
        ValueError: the taxonomy is unknown, or `config.pose_prior` asks for joints that are not COCO's.
    """

    mean: Tensor  # [1, 3, 1, 1]
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        taxonomy = get_taxonomy(config.taxonomy)
        self.parts, self.joints = len(taxonomy.part_names), len(taxonomy.joint_names)
        self.limbs = len(taxonomy.limbs)
        if config.pose_prior and taxonomy.joint_names != DENSEPOSE_COCO.joint_names:
            raise ValueError(f"model.pose_prior predicts COCO's joints, not {taxonomy.name}'s: set it to false")
        width = config.hidden_dim

        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)
        self.backbone = build_backbone(config)
        self.feature_scale = nn.ModuleList([FeatureScale(channels) for channels in self.backbone.channels])
        self.lateral = nn.ModuleList([nn.Conv2d(channels, width, 1) for channels in self.backbone.channels])
        coarse = len(self.backbone.channels) - 1
        self.pyramid_blocks = nn.ModuleList(
            [nn.Sequential(*(ResidualBlock(width) for _ in range(config.pyramid_blocks))) for _ in range(coarse)]
        )
        self.part_head = PyramidHead(width)
        self.part_logits = nn.Conv2d(width, self.parts + 1, 1)
        self.projection = ProjectionField(width, config.projection)
        self.pose_head = PyramidHead(width)
        # The order of pose channels: heatmaps, limbs, center, offsets, regression.
        pose_channels = (self.joints, self.limbs, 1, 2 * self.joints, 2 * self.joints)
        self.pose_logits = MapConv(width, pose_channels)
        outputs = (self.parts + 1, 2, *pose_channels)
        inputs = 2 * width + self.backbone.channels[0]
        self.refinement = Refinement(inputs, config.refinement_dim, outputs) if config.refinement_dim else None
        self._start_pose(self.pose_logits)

    @torch.no_grad()
    def _start_pose(self, layer: nn.Conv2d) -> None:
        """Start from the backbone's prediction, or else from "nothing here"; limbs always from the latter."""
        weight, bias = layer.get_parameter("weight"), layer.get_parameter("bias")
        limbs = slice(self.joints, self.joints + self.limbs)
        bias[limbs] = RARE
        if self.config.pose_prior:
            learnt = weight[limbs].clone()
            weight.zero_()
            weight[limbs] = learnt
            bias[: self.joints] = 0.0
            bias[limbs.stop :] = 0.0
        else:
            bias[: limbs.stop + 1] = RARE

    def pyramid(self, features: Sequence[Tensor]) -> list[Tensor]:
        """X_1..X_4 of Eq. 1 from the backbone's: [B, W_, H/4, W/4] down to [B, W_, H/32, W/32]."""
        levels = [lateral(x) for lateral, x in zip(self.lateral, features, strict=True)]
        for level in (3, 2, 1):
            levels[level] = self.pyramid_blocks[level - 1](levels[level])
            levels[level - 1] = levels[level - 1] + upsample(levels[level])
        return levels

    def normalized(self, image: Tensor) -> Tensor:
        """Canvases uint8 [B, H, W, 3] as the backbone takes them: [B, 3, H, W], ImageNet-normalised."""
        return (image.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def forward(self, image: Tensor) -> HeadMaps:
        """Maps of uint8 canvases [B, H, W, 3]; H and W must be multiples of 32."""
        return self.forward_with_levels(image)[0]

    def forward_with_levels(self, image: Tensor) -> tuple[HeadMaps, list[Tensor]]:
        """As `forward`, with the projection field of every level, D_1 first, which training supervises.

        D_l is in cells of level l: [B, 2, H/2^(l+1), W/2^(l+1)].
        """
        raw, prior = self._features(image)
        features = [scale(x) for scale, x in zip(self.feature_scale, raw, strict=True)]
        levels = self.pyramid(features)
        fields = self.projection(levels)
        part_features, pose_features = self.part_head(levels), self.pose_head(levels)  # [B, W_, h, w]
        outputs = [self.part_logits(part_features), fields[0], *self.pose_logits(pose_features)]
        if self.refinement is not None:
            corrections = self.refinement(torch.cat([part_features, pose_features, features[0]], dim=1))
            outputs = [x + y for x, y in zip(outputs, corrections, strict=True)]
        parts, fields[0], *pose = outputs
        heatmap, limb, center, offsets, regression = (x.float() for x in pose)
        maps = HeadMaps(
            part_logits=parts,
            projection_field=fields[0],
            heatmap_logits=heatmap,
            offsets=offsets.unflatten(1, (self.joints, 2)) * RADIUS_CELLS,
            limb_logits=limb,
            center_logits=center,
            regression=regression.unflatten(1, (self.joints, 2)) * BODY_CELLS,
        )
        if prior is not None:
            maps = maps._replace(
                heatmap_logits=maps.heatmap_logits + disk_heatmaps(prior),
                offsets=maps.offsets + offsets_to_joints(prior),
                center_logits=maps.center_logits + prior.center_logits,
                regression=maps.regression + prior.regression,
            )
        return maps, fields

    def _features(self, image: Tensor) -> tuple[Pyramid, PosePrior | None]:
        pixels = self.normalized(image)
        return self.backbone.forward_with_poses(pixels) if self.config.pose_prior else (self.backbone(pixels), None)


def canvas_logits(part_logits: Tensor) -> Tensor:
    """Part logits [B, C+1, h, w] at canvas resolution [B, C+1, H, W]."""
    return upsample(part_logits, STRIDE)
