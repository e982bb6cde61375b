"""The paper's losses (section 3.4) and their homoscedastic weights.

Every loss is a mean over the cells whose label is known; unknown cells (ignore regions, unlabelled joints) never
count as negatives.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.maps import HeadMaps
from model.network import RADIUS_CELLS, canvas_logits
from model.taxonomy import IGNORE
from training.targets import Batch

# Each loss's typical size after a few hundred steps. A task's log-variance starts at the logarithm, where the
# weighted sum is balanced: learning it from zero would take longer than a short run lasts.
TYPICAL = {"parts": 0.4, "projection": 0.25, "heatmap": 0.08, "offset": 0.25, "limb": 0.08, "matching": 0.3}


class Criterion(nn.Module):
    """Sum over tasks of exp(-s) * loss + s, where s, the task's log-variance, is learnt (Kendall et al., 2018)."""

    def __init__(self) -> None:
        super().__init__()
        start = torch.tensor(list(TYPICAL.values())).log()
        self.log_variance = nn.ParameterDict({k: nn.Parameter(s) for k, s in zip(TYPICAL, start, strict=True)})

    def forward(self, losses: dict[str, Tensor]) -> Tensor:
        """The scalar to minimise, from the losses that `dense_losses` and `matching_loss` return."""
        terms = [torch.exp(-self.log_variance[k]) * loss + self.log_variance[k] for k, loss in losses.items()]
        return torch.stack(terms).sum()

    def weights(self) -> dict[str, float]:
        """The factor of each task now, for the log."""
        return {k: float(torch.exp(-s.detach())) for k, s in self.log_variance.items()}


def dense_losses(maps: HeadMaps, fields: list[Tensor], batch: Batch) -> dict[str, Tensor]:
    """Losses of every head. Distances are in units of R, so that all pyramid levels count alike."""
    logits = canvas_logits(maps.part_logits.float())  # [B, C+1, H, W]
    parts = batch.parts.long()
    # Not reduction="mean": a batch that is ignored everywhere would divide by zero.
    entropy = F.cross_entropy(logits, parts, ignore_index=IGNORE, reduction="sum")
    part_loss = entropy / (parts != IGNORE).sum().clamp(min=1)

    heatmap = batch.heatmap.float()  # [B, K, h, w]
    offset_error = (maps.offsets.float() - batch.offsets.float()).abs().sum(2)  # [B, K, h, w]
    return {
        "parts": part_loss,
        "projection": projection_loss(fields, batch.projection.float(), batch.projection_weight.float()),
        "heatmap": weighted_bce(maps.heatmap_logits, heatmap, batch.heatmap_weight),
        "offset": mean_where(offset_error / RADIUS_CELLS, heatmap),
        "limb": weighted_bce(maps.limb_logits, batch.limbs.float(), batch.limb_weight),
    }


def projection_loss(fields: list[Tensor], target: Tensor, weight: Tensor) -> Tensor:
    """Mean over the pyramid levels of the l1 error of D_l, in units of R.

    fields: D_1.. in cells of their own level; target [B, 2, h, w] in cells of level 1; weight [B, h, w] 0 or 1.
    """
    losses = []
    for level, field in enumerate(fields):
        factor = 2**level
        share = F.avg_pool2d(weight[:, None], factor)  # [B, 1, h_l, w_l]
        mean = F.avg_pool2d(target * weight[:, None], factor) / share.clamp(min=1e-6)  # of the known cells alone
        error = (field.float() * factor - mean).abs().sum(1)  # [B, h_l, w_l], in cells of level 1
        losses.append(mean_where(error / RADIUS_CELLS, (share[:, 0] > 0).float()))
    return torch.stack(losses).mean()


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy of [B, N, h, w] logits, mean over the cells of weight 1."""
    loss = F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none")
    return mean_where(loss, weight.float())


def mean_where(value: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 where nothing has weight."""
    return (value * weight).sum() / weight.sum().clamp(min=1.0)
