"""The paper's losses (section 3.4) and their homoscedastic weights.

Every loss is a mean over the cells whose label is known; unknown cells (ignore regions, unlabelled joints) never count
as negatives. The mean is over all images of a step: losses of a part of them are sums divided by `Normalizers` of the
whole, so the parts add up for any number of forward passes and processes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.maps import HeadMaps
from model.network import RADIUS_CELLS, canvas_logits
from model.taxonomy import IGNORE
from training.losses.center_losses import center_loss, regression_loss
from training.transforms.targets import Batch

# Each loss's typical size after a few hundred steps. A task's log-variance starts at its logarithm, where the
# weighted sum is balanced: learning it from zero would take longer than a short run lasts.
TYPICAL = {
    "parts": 0.2, "projection": 0.5, "heatmap": 0.015, "offset": 0.2, "limb": 0.012, "matching": 0.12,
    "center": 1.6, "regression": 0.18,
}  # fmt: skip


class Normalizers(NamedTuple):
    """Normalizers of the losses: label counts of a step. Floats of shape [], `projection` of [levels]."""

    images: Tensor
    parts: Tensor  # weight of all pixels
    projection: Tensor  # cells of each pyramid level
    heatmap: Tensor  # cells times joints
    offset: Tensor
    limb: Tensor
    people: Tensor


def count_labels(batch: Batch, levels: int) -> Normalizers:
    """Count the labels of a batch; counts of several batches add up."""
    weight = batch.projection_weight.float()
    counts = (
        torch.tensor(len(batch.image)), batch.part_weight.float().sum(),
        torch.stack([(_pooled(weight, level) > 0).sum() for level in range(levels)]),
        batch.heatmap_weight.sum(), batch.heatmap.sum(), batch.limb_weight.sum(), batch.person_count.sum(),
    )  # fmt: skip
    return Normalizers(*(count.to(weight) for count in counts))


class Criterion(nn.Module):
    """Sum over tasks of exp(-s) * loss + s, with a learned log-variance s per task (Kendall et al., 2018).

    All tasks then have gradients of equal size, whatever factor their losses have. `loss_weights` multiplies the whole
    term of a task instead.
    """

    def __init__(self, loss_weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.loss_weights = loss_weights or {}
        start = torch.tensor(list(TYPICAL.values())).log()
        self.log_variance = nn.ParameterDict({k: nn.Parameter(s) for k, s in zip(TYPICAL, start, strict=True)})

    def forward(self, losses: dict[str, Tensor], share: float = 1.0) -> Tensor:
        """Return the scalar to minimize, from some of the tasks' losses; s counts `share` times.

        Log-variances of missing tasks enter with factor 0: all processes must agree on which parameters have a
        gradient.
        """
        terms = [s * 0.0 for task, s in self.log_variance.items() if task not in losses]
        for task, loss in losses.items():
            s = self.log_variance[task]
            terms.append(self.loss_weights.get(task, 1.0) * (torch.exp(-s) * loss + s * share))
        return torch.stack(terms).sum()

    def weights(self) -> dict[str, float]:
        """Return the current factor of each task, for the log."""
        return {k: float(torch.exp(-s.detach())) for k, s in self.log_variance.items()}


def dense_losses(
    maps: HeadMaps, fields: list[Tensor], batch: Batch, counts: Normalizers, centers: bool = False
) -> dict[str, Tensor]:
    """Return the losses of every head; of centers only if `centers`.

    Distances are in units of R, so that all pyramid levels have equal weight.
    """
    logits = canvas_logits(maps.part_logits.float())  # [B, C+1, H, W]
    part_error = F.cross_entropy(logits, batch.parts.long(), ignore_index=IGNORE, reduction="none")  # [B, H, W]
    heatmap = batch.heatmap.float()  # [B, K, h, w]
    offset_error = (maps.offsets.float() - batch.offsets.float()).abs().sum(2)  # [B, K, h, w]
    losses = {
        "parts": _over((part_error * batch.part_weight).sum(), counts.parts),
        "projection": projection_loss(fields, batch.projection.float(), batch.projection_weight.float(), counts),
        "heatmap": _over(_entropy(maps.heatmap_logits, heatmap, batch.heatmap_weight), counts.heatmap),
        "offset": _over((offset_error / RADIUS_CELLS * heatmap).sum(), counts.offset),
        "limb": _over(_entropy(maps.limb_logits, batch.limbs.float(), batch.limb_weight), counts.limb),
    }
    if centers:
        losses["center"] = _over(center_loss(maps.center_logits, batch), counts.people)
        losses["regression"] = _over(regression_loss(maps.regression, batch), counts.people)
    return losses


def projection_loss(fields: list[Tensor], target: Tensor, weight: Tensor, counts: Normalizers) -> Tensor:
    """Return the mean over the pyramid levels of the l1 error of D_l, in units of R.

    fields: D_1.. in cells of their own level; target [B, 2, h, w] in cells of level 1; weight [B, h, w] 0 or 1.
    """
    losses = []
    for level, field in enumerate(fields):
        share = _pooled(weight, level)  # [B, 1, h_l, w_l]
        mean = _pooled(target * weight[:, None], level) / share.clamp(min=1e-6)  # of the known cells alone
        error = (field.float() * 2**level - mean).abs().sum(1, keepdim=True)  # [B, 1, h_l, w_l], in cells of level 1
        losses.append(_over((error / RADIUS_CELLS * (share > 0)).sum(), counts.projection[level]))
    return torch.stack(losses).mean()


def _pooled(value: Tensor, level: int) -> Tensor:
    """Average [B, (.,) h, w] to [B, ., h / 2^level, w / 2^level]."""
    return F.avg_pool2d(value if value.ndim == 4 else value[:, None], 2**level)


def _entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the sum of the binary cross-entropy of [B, N, h, w] logits over the cells of weight 1."""
    return (F.binary_cross_entropy_with_logits(logits.float(), target, reduction="none") * weight).sum()


def _over(total: Tensor, count: Tensor) -> Tensor:
    """Return a mean; 0 if nothing is labelled."""
    return total / count.clamp(min=1.0)
