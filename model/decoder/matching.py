"""Joint matching: maximum-weight bipartite matching as a differentiable iteration (Eqs. 9-16).

`match_dykstra` solves the relaxed problem, `round_assignment` makes it a matching.
"""

from __future__ import annotations

import torch
from torch import Tensor

_FORBIDDEN = -1e4  # gain of a pair that does not exist; never survives a projection
_LEAST = 1e-3  # a pair whose relaxed assignment is below this is not chosen
_ROUNDS = 3  # of rounding; 2 suffice for what `match_dykstra` returns


def match_dykstra(
    scores: Tensor,
    row_mask: Tensor,
    col_mask: Tensor,
    step: float,
    outer: int,
    inner: int,
    average: bool = False,
) -> Tensor:
    """Maximise sum(scores * Y) over row sums <= 1, column sums <= 1, Y >= 0 (Eqs. 13-16).

    Each of `outer` steps moves along the gradient and projects back: Y <- F_C(Y + step * scores). C is the intersection
    of {rows sum to at most 1, Y >= 0} and {columns sum to at most 1, Y >= 0}. Dykstra's increment for each of the two
    is one number a row (u) or a column (v), because projecting onto either subtracts a number from the row or column
    and clips at 0; hence Y = relu(Y + step * scores - u - v). A sweep refines u, then v, by one Newton step on the
    piecewise linear equation "what stays positive sums to 1".

    The increments are kept from one outer step to the next. That is true projected gradient descent, not one
    projection of a big step, because Y itself is the start of each step: on these polyhedra the sweeps ascend the dual
    problem and reach the same projection from any increments >= 0 (Hildreth), and as the increments hardly change
    between late steps a single sweep is enough.

    Invalid rows and columns never take part, so that the result equals that of the unpadded problem; none valid is
    allowed. Where the iteration has not converged sums exceed 1, by a few hundredths with the default configuration.

    Args:
        scores: A [..., N, M].
        row_mask: [..., N] bool, valid rows.
        col_mask: [..., M] bool, valid columns.
        step: alpha of Eq. 15.
        outer: gradient steps.
        inner: sweeps of projections a step.
        average: return the mean of all iterates. A converged Y is a corner of C, where the gradient with respect to
            the scores is zero; the mean keeps the early, fractional iterates. For training, with a step of about 0.1.

    Returns:
        Y [..., N, M] in [0, 1].
    """
    pairs = row_mask[..., :, None] & col_mask[..., None, :]
    gain = torch.where(pairs, scores * step, _FORBIDDEN)
    assignment = torch.zeros_like(gain)
    total = torch.zeros_like(gain)
    row_price, col_price = torch.zeros_like(gain[..., :1]), torch.zeros_like(gain[..., :1, :])  # u, v
    for _ in range(outer):
        moved = assignment + gain
        for _ in range(inner):
            row_price = _project(moved - col_price, row_price, -1)
            col_price = _project(moved - row_price, col_price, -2)
        assignment = (moved - row_price - col_price).relu()
        if average:
            total = total + assignment
    return total / outer if average else assignment


def _project(value: Tensor, price: Tensor, dim: int) -> Tensor:
    """The price nearer to the least one >= 0 at which relu(value - price) sums to at most 1 along `dim`."""
    kept = (value - price).relu()
    active = (kept > 0).to(kept.dtype).sum(dim, keepdim=True).clamp(min=1.0)
    return (price + (kept.sum(dim, keepdim=True) - 1) / active).relu()


def match_greedy(scores: Tensor, row_mask: Tensor, col_mask: Tensor) -> Tensor:
    """The highest score first, then the highest that touches no chosen pair, and so on. Arguments as `match_dykstra`.

    Returns:
        Y [..., N, M] of 0 and 1.
    """
    pairs = row_mask[..., :, None] & col_mask[..., None, :]
    scores = torch.where(pairs, scores, 0.0)
    return _choose(scores, min(scores.shape[-2:]))


def match_greedy_joint(scores: Tensor, row_scores: Tensor, row_mask: Tensor, col_mask: Tensor) -> Tensor:
    """Each parent joint in turn, the most certain first, takes the best child joint that is left.

    Args:
        scores: A [..., N, M].
        row_scores: [..., N], how certain the parent joints are.
        row_mask: [..., N] bool, valid rows.
        col_mask: [..., M] bool, valid columns.

    Returns:
        Y [..., N, M] of 0 and 1.
    """
    pairs = row_mask[..., :, None] & col_mask[..., None, :]
    value = torch.where(pairs, scores.detach(), 0.0)
    order = row_scores.detach().argsort(dim=-1, descending=True, stable=True)  # [..., N]
    col = torch.arange(value.shape[-1], device=value.device)
    free = torch.ones_like(value[..., 0, :])  # [..., M]
    chosen = torch.zeros_like(value)
    for turn in order.unbind(-1):  # [...]
        row = turn[..., None, None].expand(*turn.shape, 1, value.shape[-1])
        left = value.gather(-2, row).squeeze(-2) * free  # [..., M]
        taken = ((left.argmax(-1, keepdim=True) == col) & (left > _LEAST)).to(value.dtype)
        free = free - taken
        chosen = chosen.scatter(-2, row, taken[..., None, :])
    return chosen


def round_assignment(assignment: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """Greedily choose the largest entries of Y, dropping pairs whose score is not above `threshold`.

    Args:
        assignment: Y [..., N, M].
        scores: A [..., N, M].
        threshold: the linear program takes any gain, however low.

    Returns:
        [..., N, M] of 0 and 1; every row and every column sums to at most 1.
    """
    return _choose(assignment, _ROUNDS) * (scores > threshold).to(assignment.dtype)


def _choose(value: Tensor, rounds: int) -> Tensor:
    # A pair that is the largest of its row and of its column is what the greedy choice takes sooner or later: take all
    # of them at once. Ties go to the first index, so no row and no column is taken twice; the largest value left is
    # always among them, hence min(N, M) rounds are complete.
    value = value.detach()
    row = torch.arange(value.shape[-2], device=value.device)[:, None]
    col = torch.arange(value.shape[-1], device=value.device)
    chosen = torch.zeros_like(value)
    for _ in range(rounds):
        best = (value.argmax(-1, keepdim=True) == col) & (value.argmax(-2, keepdim=True) == row) & (value > _LEAST)
        taken = best.to(value.dtype)
        chosen = chosen + taken
        value = value * (1 - taken.amax(-1, keepdim=True)) * (1 - taken.amax(-2, keepdim=True))
    return chosen
