"""Compare the matcher with the Hungarian algorithm: python -m training.studies.matcher_table.

The matrices imitate limb scores: each true pair about 0.7, a tenth of them missing, a few wrong pairs at 0.45, noise
elsewhere. Uniformly random matrices would be much harder and meaningless.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from model.config import DecoderConfig
from model.decoder.matching import match_dykstra, match_greedy, round_assignment

_EDGE = 0.1  # a pair below this is no limb


class Row(NamedTuple):
    """One matcher on one problem size; shares are of the Hungarian algorithm's edges above 0.1."""

    matcher: str
    candidates: int
    exact: float  # share of matrices with exactly the same edges
    edges: float  # share of the edges found
    weight: float  # total score of the edges
    excess: float  # largest row or column sum before rounding, less 1
    microseconds: float  # per matrix, in torch


def limb_like_scores(count: int, draws: int, seed: int) -> Tensor:
    """Draw score matrices [draws, count, count] in [0, 1] that resemble limb scores."""
    draw = torch.Generator().manual_seed(seed)
    scores = (0.08 * torch.randn(draws, count, count, generator=draw)).abs()
    confusers = torch.rand(draws, count * count, generator=draw).topk(count // 3).indices
    wrong = 0.45 + 0.1 * torch.randn(confusers.shape, generator=draw)
    scores = scores.flatten(1).scatter(1, confusers, wrong).reshape(scores.shape)
    partner = torch.rand(draws, count, count, generator=draw)[:, 0].argsort(1)[..., None]  # a permutation a matrix
    true = 0.7 + 0.15 * torch.randn(draws, count, 1, generator=draw)
    missing = torch.rand(draws, count, 1, generator=draw) < 0.1
    return scores.scatter(2, partner, torch.where(missing, scores.gather(2, partner), true)).clamp(0, 1)


def measure(name: str, match: Callable[[Tensor, Tensor, Tensor], Tensor], scores: Tensor) -> Row:
    """Compare a matcher with the Hungarian algorithm on matrices [draws, N, N]."""
    mask = torch.ones(scores.shape[:2], dtype=torch.bool)
    start = time.perf_counter()
    assignment = match(scores, mask, mask)
    matches = round_assignment(assignment, scores, _EDGE)
    elapsed = time.perf_counter() - start
    best = torch.zeros_like(scores)
    for solution, matrix in zip(best, scores, strict=True):
        solution[linear_sum_assignment(matrix.numpy(), maximize=True)] = 1
    best = best * (scores > _EDGE)
    return Row(
        name,
        scores.shape[-1],
        exact=(matches == best).flatten(1).all(1).float().mean().item(),
        edges=((matches * best).sum() / best.sum()).item(),
        weight=((matches * scores).sum() / (best * scores).sum()).item(),
        excess=max(assignment.sum(dim).max().item() - 1 for dim in (-1, -2)),
        microseconds=1e6 * elapsed / len(scores),
    )


def table(counts: tuple[int, ...], draws: int, seed: int = 0) -> list[Row]:
    """Compare the configured iteration, variants of it, and greedy matching."""
    config = DecoderConfig()
    chosen = (config.matcher_step, config.matcher_outer, config.matcher_inner)
    variants = [chosen, (2.0, 8, 1), (2.0, 32, 1), (1.0, 20, 10), (0.1, 10, 5), (20.0, 1, 20)]
    matchers: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {}
    for step, outer, inner in dict.fromkeys(variants):

        def dykstra(
            scores: Tensor, rows: Tensor, cols: Tensor, step: float = step, outer: int = outer, inner: int = inner
        ) -> Tensor:
            return match_dykstra(scores, rows, cols, step, outer, inner)

        matchers[f"dykstra {step:g} x {outer} x {inner}" + " *" * ((step, outer, inner) == chosen)] = dykstra
    matchers["greedy"] = match_greedy
    return [
        measure(name, match, limb_like_scores(count, draws, seed))
        for name, match in matchers.items()
        for count in counts
    ]


def main() -> None:
    """Print the rows as JSON, one per line, then as a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--draws", type=int, default=300, help="matrices of each size (default 300)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows = table((4, 8, 14, 20), arguments.draws, arguments.seed)
    for row in rows:
        print(json.dumps(row._asdict()))
    print(
        f"\n{'step x outer x inner (* configured)':36} {'N':>3} {'exact':>7} {'edges':>8} {'weight':>8} {'excess':>7}"
    )
    for row in rows:
        print(
            f"{row.matcher:36} {row.candidates:3} {row.exact:7.1%} {row.edges:8.2%} {row.weight:8.2%} {row.excess:7.3f}"
        )


if __name__ == "__main__":
    main()
