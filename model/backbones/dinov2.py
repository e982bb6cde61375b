"""DINOv2 ViT-S/14 (Oquab et al., 2023) as a pyramid: a plain transformer at stride 16 beside a small pixel stem."""

from __future__ import annotations

import re
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.backbones.base import Backbone, Pyramid, StateDict
from model.errors import InputError

BLOCKS = 12  # of the public checkpoint
WIDTH = 384
HEADS = 6
PUBLIC_PATCH = 14  # pixels; resampled to PATCH so that tokens lie on the stride-16 level
PATCH = 16
PUBLIC_GRID = 37  # tokens a side of the public position embedding (518 px / 14)


class _PatchEmbed(nn.Module):
    """Non-overlapping patches to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, WIDTH, PATCH, stride=PATCH)

    def forward(self, image: Tensor) -> Tensor:
        tokens: Tensor = self.proj(image)  # b d h w
        return tokens.flatten(2).transpose(1, 2)  # b hw d


class _Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        qkv = self.qkv(x).unflatten(-1, (3, HEADS, WIDTH // HEADS)).permute(2, 0, 3, 1, 4)  # 3 b heads n d/heads
        mixed = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])  # b heads n d/heads
        out: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))  # b n d
        return out


class _Mlp(nn.Module):
    """Two linear layers around an exact GELU."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(WIDTH, 4 * WIDTH)
        self.fc2 = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x)))
        return out


class _LayerScale(nn.Module):
    """A learnt factor a channel on a residual branch."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((WIDTH,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    """Pre-norm transformer block with LayerScale."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.attn = _Attention()
        self.ls1 = _LayerScale()
        self.norm2 = nn.LayerNorm(WIDTH, eps=1e-6)
        self.mlp = _Mlp()
        self.ls2 = _LayerScale()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        x = x + self.ls2(self.mlp(self.norm2(x)))
        return x


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """3x3 at stride 2; the BatchNorm folds into the convolution at inference."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class DinoV2(Backbone):
    """The first `blocks` blocks of ViT-S/14, tapped at four depths, fused with pixels where tokens are too coarse.

    X_3 and X_4 come from the tokens alone, the deepest ones in both: X_4 halves their resolution, X_3 keeps it.
    X_1 and X_2 join upsampled tokens with a stem of three convolutions, for a token covers 16x16 pixels and knows
    a contour no better.

    Differs from the paper: a ViT in place of ResNet-101.
    """

    channels = (96 + 64, 192 + 64, 2 * WIDTH, WIDTH)
    extras = ("stem", "stem_down", "lateral1", "lateral2", "down4")
    discarded = ("mask_token",)

    def __init__(self, blocks: int = BLOCKS) -> None:
        """Raises InputError unless `blocks` is 4..12: four taps need four blocks."""
        super().__init__()
        if not 4 <= blocks <= BLOCKS:
            raise InputError(f"backbone_blocks is {blocks}; dinov2_vits14 takes 4..{BLOCKS}")
        self.out_indices = tuple(-(-blocks * level // 4) for level in (1, 2, 3, 4))  # after how many blocks
        self.frozen = False

        self.cls_token = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + PUBLIC_GRID**2, WIDTH))
        self.patch_embed = _PatchEmbed()
        self.blocks = nn.ModuleList(_Block() for _ in range(blocks))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        nn.init.trunc_normal_(self.cls_token, std=0.02)

        self.stem = nn.Sequential(_conv(3, 32), _conv(32, 64))
        self.stem_down = _conv(64, 64)
        self.lateral1 = nn.Conv2d(WIDTH, 96, 1)
        self.lateral2 = nn.ConvTranspose2d(WIDTH, 192, 2, stride=2)
        self.down4 = nn.Conv2d(WIDTH, WIDTH, 3, stride=2, padding=1)

    def freeze_pretrained(self) -> None:
        """Train the extras alone; the transformer then keeps no activations for a backward pass."""
        self.frozen = True
        super().freeze_pretrained()

    def forward(self, image: Tensor) -> Pyramid:
        """`image` is [B, 3, H, W], ImageNet-normalised RGB; H and W are multiples of 32."""
        with torch.no_grad() if self.frozen else nullcontext():
            tap1, tap2, tap3, tap4 = self._tokens(image)  # each b d H/16 W/16
        detail4 = self.stem(image)  # b 64 H/4 W/4
        detail8 = self.stem_down(detail4)  # b 64 H/8 W/8
        coarse1 = F.interpolate(self.lateral1(tap1), scale_factor=4.0, mode="bilinear", align_corners=False)
        x1 = torch.cat((coarse1, detail4), dim=1)
        x2 = torch.cat((self.lateral2(tap2), detail8), dim=1)
        return x1, x2, torch.cat((tap3, tap4), dim=1), self.down4(tap4)

    def position_embedding(self, height: int, width: int) -> Tensor:
        """The public 37x37 grid at `height` x `width` tokens: [1, height*width, 384]."""
        grid = self.pos_embed[:, 1:].reshape(1, PUBLIC_GRID, PUBLIC_GRID, WIDTH).permute(0, 3, 1, 2)  # 1 d 37 37
        grid = F.interpolate(grid, size=(height, width), mode="bicubic", align_corners=False)  # 1 d h w
        return grid.flatten(2).transpose(1, 2)  # 1 hw d

    def _tokens(self, image: Tensor) -> tuple[Tensor, ...]:
        height, width = image.shape[2] // PATCH, image.shape[3] // PATCH
        tokens = self.patch_embed(image) + self.position_embedding(height, width)  # b hw d
        cls_token = (self.cls_token + self.pos_embed[:, :1]).expand(image.shape[0], -1, -1)  # b 1 d
        x = torch.cat((cls_token, tokens), dim=1)  # b 1+hw d
        taps = []
        for count, block in enumerate(self.blocks, start=1):
            x = block(x)
            if count in self.out_indices:
                taps.append(self.norm(x)[:, 1:].transpose(1, 2).reshape(-1, WIDTH, height, width))  # b d h w
        return tuple(taps)

    def convert_state_dict(self, state: StateDict) -> StateDict:
        """Drops the unused blocks and resamples the patch filters to 16x16."""
        kept = {}
        for name, value in super().convert_state_dict(state).items():
            block = re.match(r"blocks\.(\d+)\.", name)
            if block is None or int(block[1]) < len(self.blocks):
                kept[name] = value
        filters = kept.get("patch_embed.proj.weight")
        if filters is not None and filters.shape[-2:] == (PUBLIC_PATCH, PUBLIC_PATCH):
            kept["patch_embed.proj.weight"] = resample_patch(filters, PATCH)
        return kept


def resample_patch(filters: Tensor, size: int) -> Tensor:
    """Patch filters [D, 3, p, p] as [D, 3, size, size], for patches that show the same in more pixels.

    With A the matrix that shrinks a patch (bicubic, antialiased), w' = A^T w, so that <w', x> = <w, A x>: the
    tokens are those of the shrunk picture. The inverse construction of FlexiViT (Beyer et al., CVPR 2023)
    assumes an enlarged picture instead, and on photographs comes less close to the public features.
    """
    old = filters.shape[-1]
    pixels = torch.eye(size * size, dtype=torch.float64).view(size * size, 1, size, size)
    shrink = F.interpolate(pixels, size=(old, old), mode="bicubic", align_corners=False, antialias=True).flatten(1)
    resampled = filters.double().flatten(2) @ shrink.T  # d 3 size^2; `shrink` is A^T
    return resampled.reshape(*filters.shape[:2], size, size).to(filters.dtype)
