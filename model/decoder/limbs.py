"""Limb scoring: how much limb lies between every pair of candidates (section 3.3)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from model.decoder.peaks import Candidates


def limb_responses(limb_logits: Tensor, candidates: Candidates, limbs: Tensor, samples: int) -> Tensor:
    """Responses of a limb's map along the segment between each pair of its candidates.

    The paper leaves number and place of the samples open. Here they are the middles of `samples` equal stretches:
    near the ends all pairs that share a joint look alike.

    Args:
        limb_logits: [B, L, h, w]; Q is their sigmoid.
        candidates: of K joint classes.
        limbs: [2, L] int64, the joint classes (a, b) of each limb.
        samples: points read on a segment, by bilinear interpolation, the map continued by its border.

    Returns:
        [B, L, N, N, S] in [0, 1]: candidate n of class a with candidate n' of class b; 0 if one of them is invalid.
        Their mean over the S samples is A, the score of the pair. Differentiable in the map and in the positions.
    """
    batch, count, height, width = limb_logits.shape
    x, y = candidates.xy_cell.unbind(-1)
    xy = torch.stack((x * 2 / (width - 1) - 1, y * 2 / (height - 1) - 1), -1)[..., None, :]  # -1 to 1, [B, K, N, 1, 2]
    t = ((torch.arange(samples, dtype=torch.float32, device=limb_logits.device) + 0.5) / samples)[:, None]
    start = (xy * (1 - t)).flatten(3).index_select(1, limbs[0])  # [B, L, N, 2S]
    end = (xy * t).flatten(3).index_select(1, limbs[1])
    points = start[:, :, :, None] + end[:, :, None]  # [B, L, N, N, 2S]
    responses = F.grid_sample(
        torch.sigmoid(limb_logits).reshape(batch * count, 1, height, width),
        points.reshape(batch * count, -1, samples, 2),
        padding_mode="border",
        align_corners=True,
    ).reshape(*points.shape[:-1], samples)
    return torch.where(pair_mask(candidates.valid, limbs)[..., None], responses, 0.0)


def filter_limb_coverage(responses: Tensor, floor: float, share: float) -> Tensor:
    """A [B, L, N, N], mean responses; 0 where less than `share` of a segment's samples exceed `floor`.

    Between joints of two people far apart other people's limbs can make up a fair mean, with nothing in between.

    Differs from the paper, which takes the mean alone; the criterion is OpenPose's (Cao et al., 2017).
    """
    covered = (responses > floor).float().sum(-1)  # whole numbers: no runtime's rounding decides
    return torch.where(covered > share * responses.shape[-1] - 0.5, responses.mean(-1), 0.0)


def pair_mask(valid: Tensor, limbs: Tensor) -> Tensor:
    """[B, L, N, N] bool: both candidates of the pair are valid. `valid` is [B, K, N], `limbs` [2, L]."""
    return valid.index_select(1, limbs[0])[..., None] & valid.index_select(1, limbs[1])[:, :, None]
