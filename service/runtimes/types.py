"""Defines what every runtime offers: the graph, one canvas or a batch of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from model.raw_prediction import RawPrediction

Size = tuple[int, int]  # height, width


class BackendError(RuntimeError):
    """A backend cannot be used as asked. The message names the remedy."""


class Backend(Protocol):
    """A runtime that holds the graph."""

    name: str  # as HUMANPARSE_BACKEND, /model and the metrics call it
    precision: str  # of the network; the decoder is always f32
    parallel: int  # how many threads may call `infer` at a time

    def infer(self, canvas: NDArray[np.uint8], views: int = 1) -> RawPrediction:
        """Run one canvas, uint8 [H, W, 3] RGB, H and W multiples of 32; with horizontal-flip TTA if `views` is 2."""
        ...


@runtime_checkable
class PreparingBackend(Backend, Protocol):
    """A runtime that is faster on canvases that it knows beforehand."""

    def prepare(self, canvases: Sequence[tuple[Size, int]]) -> Callable[[], None]:
        """Begin to make ready for canvases, each with its number of views; return what waits for it."""
        ...

    def repeat(self) -> None:
        """From here on, answer an image alike whatever came before it."""
        ...


@runtime_checkable
class BatchBackend(Backend, Protocol):
    """A runtime that also takes canvases of one size together, one batch at a time."""

    max_batch: int  # 1: the graph takes one image at a time

    def infer_batch(self, canvases: NDArray[np.uint8]) -> list[RawPrediction]:
        """Run canvases uint8 [B, H, W, 3] of B images, each seen once, 1 <= B <= max_batch."""
        ...
