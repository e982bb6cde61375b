from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import map_coordinates

from model.decoder.limbs import filter_limb_coverage, limb_responses
from model.decoder.peaks import Candidates

LIMBS = torch.tensor([[0, 1, 0], [1, 2, 2]])
SAMPLES = 7


def random_case() -> tuple[torch.Tensor, Candidates]:
    draw = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 3, 10, 14, generator=draw)
    xy = torch.rand(2, 3, 5, 2, generator=draw) * torch.tensor([13.0, 9.0])
    xy[0, 0, 0] = torch.tensor([13.4, 9.2])  # a sub-cell position may leave the outermost centres
    valid = torch.rand(2, 3, 5, generator=draw) > 0.3
    return logits, Candidates(xy, valid.float(), valid, torch.zeros(2))


def test_scores_are_the_mean_along_each_segment() -> None:
    logits, candidates = random_case()
    responses = limb_responses(logits, candidates, LIMBS, SAMPLES)
    scores, gapless = responses.mean(-1), filter_limb_coverage(responses, 0.4, 0.7)
    assert 0.1 < (gapless == 0)[scores > 0].float().mean() < 0.9
    for b, limb, n, m in np.ndindex(*scores.shape):
        a, c = LIMBS[:, limb]
        expected = covered = 0.0
        if candidates.valid[b, a, n] and candidates.valid[b, c, m]:
            start, end = candidates.xy_cell[b, a, n].numpy(), candidates.xy_cell[b, c, m].numpy()
            t = (np.arange(SAMPLES) + 0.5) / SAMPLES
            x, y = start[:, None] + (end - start)[:, None] * t
            response = map_coordinates(logits[b, limb].sigmoid().numpy(), (y, x), order=1, mode="nearest")
            expected = response.mean()
            covered = expected if (response > 0.4).sum() >= 5 else 0.0  # 0.7 of 7 samples
        assert abs(scores[b, limb, n, m].item() - expected) < 1e-5
        assert abs(gapless[b, limb, n, m].item() - covered) < 1e-5


def test_a_share_of_zero_takes_every_mean_and_of_one_no_gap_at_all() -> None:
    responses = torch.tensor([[0.0, 0.9, 0.9, 0.9, 0.9], [0.5, 0.5, 0.5, 0.5, 0.5]])[None, None, None]
    assert filter_limb_coverage(responses, 0.1, 0.0).flatten().tolist() == responses.mean(-1).flatten().tolist()
    assert filter_limb_coverage(responses, 0.1, 0.8).count_nonzero() == 2
    assert filter_limb_coverage(responses, 0.1, 1.0).flatten().tolist() == [0.0, 0.5]


def test_scores_follow_map_and_positions() -> None:
    logits, candidates = random_case()
    logits.requires_grad_()
    xy = candidates.xy_cell.clone().requires_grad_()
    limb_responses(logits, candidates._replace(xy_cell=xy), LIMBS, SAMPLES).sum().backward()
    for gradient in (logits.grad, xy.grad):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
