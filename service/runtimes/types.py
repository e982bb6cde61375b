"""Defines what every runtime offers: the graph, one canvas and one thread at a time."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.canvas_people import CanvasPeople

Size = tuple[int, int]  # height, width


class BackendError(RuntimeError):
    """A backend cannot be used as asked. The message names the remedy."""


Output = CanvasPeople  # of the graph for one canvas


class Backend(Protocol):
    """A runtime that holds the graph."""

    name: str  # as /model and the metrics call it
    precision: str  # of the network; the decoder is always f32

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> Output:
        """Run one canvas, uint8 [H, W, 3] RGB, H and W multiples of 32; with horizontal-flip TTA if `views` is 2."""
        ...
