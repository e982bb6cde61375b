from __future__ import annotations

from typing import get_args

import pytest
import torch

from model.config import Projection
from model.heads import ProjectionField, upsample, warp


@pytest.mark.parametrize("form", get_args(Projection))
def test_every_form_of_the_projection_field_learns(form: Projection) -> None:
    torch.manual_seed(0)
    levels = [torch.randn(1, 8, 32 // 2**level, 64 // 2**level) for level in range(4)]
    projection = ProjectionField(8, form)
    fields = projection(levels)
    assert [tuple(f.shape) for f in fields] == [(1, 2, *x.shape[2:]) for x in levels][: 1 if form == "direct" else 4]
    fields[0].sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in projection.parameters())


def test_residual_adds_to_twice_the_coarser_field() -> None:
    """Eq. 3 with a residue of zero: the field of level l is 2 D_{l+1}, upsampled."""
    projection = ProjectionField(8, "warped").eval()
    for head in projection.finer:
        torch.nn.init.zeros_(head.vector.weight)
        torch.nn.init.zeros_(head.vector.bias)
    levels = [torch.randn(1, 8, 32 // 2**level, 32 // 2**level) for level in range(4)]
    fields = projection(levels)
    torch.testing.assert_close(fields[0], 8 * upsample(upsample(upsample(fields[3]))))


def test_warping_by_zero_changes_nothing() -> None:
    x = torch.randn(2, 3, 7, 9)
    torch.testing.assert_close(warp(x, torch.zeros(2, 2, 7, 9)), x)


def test_warping_reads_between_the_four_neighbours() -> None:
    """Eq. 6 against loops, borders repeated."""
    torch.manual_seed(1)
    x, flow = torch.randn(1, 2, 5, 6, dtype=torch.float64), 2 * torch.randn(1, 2, 5, 6, dtype=torch.float64)
    expected = torch.zeros_like(x)
    for v in range(5):
        for u in range(6):
            us = min(max(u + float(flow[0, 0, v, u]), 0), 5)
            vs = min(max(v + float(flow[0, 1, v, u]), 0), 4)
            for row in range(5):
                for column in range(6):
                    share = max(0, 1 - abs(us - column)) * max(0, 1 - abs(vs - row))
                    expected[0, :, v, u] += share * x[0, :, row, column]
    torch.testing.assert_close(warp(x, flow), expected)
