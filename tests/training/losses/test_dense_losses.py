from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.config import DecoderConfig
from model.maps import HeadMaps
from model.network import RADIUS_CELLS
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.losses.dense_losses import Criterion, Normalizers, count_labels, dense_losses, projection_loss
from training.transforms.fields import center_maps
from training.transforms.targets import Batch, collate, encode


@pytest.fixture(scope="module")
def batch() -> Batch:
    samples = [draw_figures(DENSEPOSE_COCO, (96, 128), people=2, seed=seed) for seed in (0, 1)]
    return collate([(s.image, encode(s, DENSEPOSE_COCO, DecoderConfig())) for s in samples])


def ideal(batch: Batch) -> tuple[HeadMaps, list[Tensor]]:
    """Maps that say exactly what the labels say."""
    parts = F.one_hot(batch.parts[:, 2::4, 2::4].long(), 15).permute(0, 3, 1, 2).float()
    limbs = batch.limbs.float().clamp(1e-6, 1 - 1e-6)
    xy_cell, present = (batch.joints[..., :2].numpy() - 1.5) / 4, batch.joints[..., 2].numpy() > 0
    pairs = [center_maps(*rows, limbs.shape[2:]) for rows in zip(xy_cell, present, strict=True)]
    center, ways = (torch.from_numpy(np.stack(column)).float() for column in zip(*pairs, strict=True))
    maps = HeadMaps(
        part_logits=30 * parts,
        projection_field=batch.projection.float(),
        heatmap_logits=60 * batch.heatmap.float() - 30,
        offsets=batch.offsets.float(),
        limb_logits=torch.logit(limbs),
        center_logits=60 * center - 30,
        regression=ways,
    )
    return maps, [batch.projection.float()]


def measured(maps: HeadMaps, fields: list[Tensor], batch: Batch) -> dict[str, Tensor]:
    """The losses of a step of this one batch."""
    return dense_losses(maps, fields, batch, count_labels(batch, len(fields)))


def test_the_loss_of_parts_is_a_mean_by_weight(batch: Batch) -> None:
    maps, fields = ideal(batch)
    maps.part_logits[1] = 0  # an error of ln 15 at each pixel of the second image
    weight = batch.part_weight.clone()
    weight[1] *= 3
    even, weighted = (
        float(measured(maps, fields, batch._replace(part_weight=w))["parts"]) for w in (batch.part_weight, weight)
    )
    second = math.log(15)
    first = 2 * even - second
    assert first < second
    assert weighted == pytest.approx((first + 3 * second) / 4, rel=1e-3)


def test_ideal_maps_have_no_loss_but_the_error_of_stride_4(batch: Batch) -> None:
    losses = measured(*ideal(batch), batch)
    limbs = batch.limbs.float()
    entropy = F.binary_cross_entropy(limbs, limbs, reduction="none")
    assert losses["projection"] == 0
    assert losses["offset"] == 0
    assert losses["heatmap"] < 1e-6
    least = entropy[batch.limb_weight > 0].mean()
    torch.testing.assert_close(losses["limb"], least, rtol=1e-3, atol=1e-5)


def test_distances_are_in_units_of_the_radius(batch: Batch) -> None:
    maps, fields = ideal(batch)
    shifted = maps._replace(offsets=maps.offsets + torch.tensor([RADIUS_CELLS, 0])[:, None, None])
    losses = measured(shifted, [fields[0] + RADIUS_CELLS], batch)
    torch.testing.assert_close(losses["offset"], torch.tensor(1.0))
    torch.testing.assert_close(losses["projection"], torch.tensor(2.0))


@pytest.mark.parametrize("field", ["heatmap", "limb"])
def test_unknown_cells_are_not_negatives(batch: Batch, field: str) -> None:
    maps, fields = ideal(batch)
    unknown = batch._replace(**{f"{field}_weight": torch.zeros_like(getattr(batch, f"{field}_weight"))})
    wrong = maps._replace(**{f"{field}_logits": torch.full_like(getattr(maps, f"{field}_logits"), 30.0)})
    assert measured(wrong, fields, batch)[field] > 1
    assert measured(wrong, fields, unknown)[field] == 0


def test_a_canvas_that_is_ignored_everywhere_costs_nothing(batch: Batch) -> None:
    maps, fields = ideal(batch)
    losses = measured(maps, fields, batch._replace(parts=torch.full_like(batch.parts, 255)))
    assert losses["parts"] == 0


def test_coarser_levels_are_held_to_the_mean_of_their_known_cells() -> None:
    """Level 2 in cells of its own, twice as long: one known cell in a block counts as the block."""
    target = torch.zeros(1, 2, 4, 4)
    weight = torch.zeros(1, 4, 4)
    target[0, :, 0, 0] = torch.tensor([6.0, -2.0])
    weight[0, 0, 0] = 1
    level_2 = torch.zeros(1, 2, 2, 2)
    level_2[0, :, 0, 0] = torch.tensor([3.0, -1.0])
    zero = torch.tensor(0.0)
    counts = Normalizers(zero, zero, torch.ones(2), zero, zero, zero, zero)
    assert projection_loss([target, level_2], target, weight, counts) == 0
    level_2[0, 0, 0, 0] += 1  # two level-1 cells too far: 2 / R, averaged over two levels
    loss = projection_loss([target, level_2], target, weight, counts)
    torch.testing.assert_close(loss, torch.tensor(2 / RADIUS_CELLS / 2))


def test_the_uncertainty_weight_settles_at_the_inverse_loss() -> None:
    """exp(-s) L + s is least at s = log L (Kendall et al., 2018)."""
    criterion = Criterion()
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        criterion({"parts": torch.tensor(0.05), "limb": torch.tensor(3.0)}).backward()
        optimizer.step()
    weights = criterion.weights()
    assert math.isclose(weights["parts"], 20.0, rel_tol=0.02)
    assert math.isclose(weights["limb"], 1 / 3, rel_tol=0.02)


def test_loss_weights_multiply_a_tasks_gradient() -> None:
    """And not the balance: its log-variance settles where it would without."""
    gradients = []
    for criterion in (Criterion(), Criterion({"limb": 3.0})):
        losses = {task: torch.tensor(0.5, requires_grad=True) for task in ("parts", "limb")}
        criterion(losses).backward()
        gradients.append([losses["parts"].grad, losses["limb"].grad, criterion.log_variance["limb"].grad])
    (parts, limb, balance), (same, more, more_balance) = gradients
    assert same == parts
    assert more == pytest.approx(3 * limb)
    assert more_balance == pytest.approx(3 * balance)


def test_losses_of_parts_of_a_step_add_up(batch: Batch) -> None:
    maps, fields = ideal(batch)
    noise = torch.Generator().manual_seed(0)
    maps = HeadMaps(*(m + torch.randn(m.shape, generator=noise) for m in maps))
    whole = measured(maps, fields, batch)
    halves = [slice(0, 1), slice(1, 2)]
    parts = [Batch(*(t[half] for t in batch)) for half in halves]
    counts = Normalizers(*(a + b for a, b in zip(*(count_labels(part, 1) for part in parts), strict=True)))
    summed = [
        dense_losses(HeadMaps(*(m[half] for m in maps)), [f[half] for f in fields], part, counts)
        for half, part in zip(halves, parts, strict=True)
    ]
    for task, loss in whole.items():
        torch.testing.assert_close(summed[0][task] + summed[1][task], loss)


def test_a_task_that_is_not_measured_keeps_its_weight_and_has_a_gradient_of_zero() -> None:
    criterion = Criterion()
    criterion({"parts": torch.tensor(0.1)}).backward()
    assert criterion.log_variance["matching"].grad == 0
    assert criterion.log_variance["parts"].grad != 0
