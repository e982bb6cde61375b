"""Parses an image file with the graph and keeps the geometry that leads back to the image's pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.canvases import best_canvas
from model.letterbox import Letterbox, letterbox_geometry
from model.manifest import Manifest
from service.images.decoding import decode, fit_canvas
from service.images.header import Header, read_header
from service.parsing.id_grid import IdGrid, id_grid
from service.runtimes.types import Backend, Output, Size

Levels = Mapping[str, Sequence[Size]]  # the canvases of each level of detail, from coarse to fine


@dataclass(frozen=True)
class Prepared:
    """An image that is ready for the graph."""

    header: Header
    letterbox: Letterbox
    detail: str  # the level that its canvas is of
    canvas: NDArray[np.uint8]  # [H, W, 3] RGB
    warnings: tuple[str, ...] = ()  # about the file


@dataclass(frozen=True)
class Parsed:
    """Output of the graph for one image."""

    header: Header
    letterbox: Letterbox
    detail: str
    size_canvas: Size
    output: Output
    warnings: tuple[str, ...] = ()  # about the file

    def id_grid(self) -> IdGrid:
        """Return persons and parts by pixel of the image."""
        return id_grid(self.output.part_map, self.output.person_map, self.letterbox, self.header.size_image)


@dataclass(frozen=True)
class ImageParser:
    """A bundle on a backend, with a default level of detail.

    `prepare` may run in several threads; `infer` in one at a time, because a backend serves one image at a time.
    """

    manifest: Manifest
    backend: Backend
    levels: Levels  # those that may be asked for
    detail: str  # the level of images that ask for none
    max_pixels: int
    seconds: float  # an inference at this level, as measured at start-up

    def prepare(self, data: bytes, detail: str | None = None) -> Prepared:
        """Decode a file into the canvas that shows it largest, at a level of `levels`. Raises ImageError."""
        detail = detail or self.detail
        header = read_header(data, self.max_pixels)
        size_canvas = best_canvas(header.size_image, self.levels[detail])
        letterbox = letterbox_geometry(header.size_image, size_canvas)
        decoded = decode(data, header, at_least=(letterbox.height, letterbox.width))
        canvas = fit_canvas(decoded.image, letterbox, size_canvas)
        return Prepared(header, letterbox, detail, canvas, decoded.warnings)

    def infer(self, prepared: Prepared) -> Parsed:
        """Run the graph."""
        size_canvas = prepared.canvas.shape[0], prepared.canvas.shape[1]
        output = self.backend.infer(prepared.canvas, self.manifest.views_at(prepared.detail))
        return Parsed(prepared.header, prepared.letterbox, prepared.detail, size_canvas, output, prepared.warnings)
