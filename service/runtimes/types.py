"""Defines what every runtime offers: the graph, one canvas and one thread at a time."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]  # height, width


class BackendError(RuntimeError):
    """A backend cannot be used as asked. The message names the remedy."""


class Output(NamedTuple):
    """The graph's outputs for one canvas of H x W pixels: P person slots, K joints, C parts."""

    part_map: NDArray[np.uint8]  # [H, W], 0 background, 1..C
    person_map: NDArray[np.uint8]  # [H, W], 0 nobody, p + 1 = slot p
    keypoints: NDArray[np.float32]  # [P, K, 3]: x, y in canvas pixels, score; 0 = not found
    person_score: NDArray[np.float32]  # [P], falling; 0 = empty slot
    part_score: NDArray[np.float32]  # [P, C], 0 = absent
    overflow: int  # people found beyond P

    @classmethod
    def first_of(cls, tensors: dict[str, NDArray[Any]]) -> Output:
        """Copy the first image of a batch of named output tensors: a runtime may use its memory again."""
        first = {name: tensors[name][0].copy() for name in cls._fields}
        return cls(**{**first, "overflow": int(first["overflow"])})


class Backend(Protocol):
    """A runtime that holds the graph."""

    name: str  # as /model and the metrics call it
    precision: str  # of the network; the decoder is always f32

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> Output:
        """Run one canvas, uint8 [H, W, 3] RGB, H and W multiples of 32; with horizontal-flip TTA if `views` is 2."""
        ...
