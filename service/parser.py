"""From an image file to what the graph says about it, and the geometry that leads back to the photo's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.canvases import best_canvas
from model.letterbox import Letterbox, letterbox_geometry
from model.manifest import Manifest
from service.answer import ModelInfo
from service.images import Header, decode, fit_canvas, read_header
from service.masks import IdGrid, id_grid
from service.runtime import Backend, Output, Size


@dataclass(frozen=True)
class Prepared:
    """A photo ready for the graph."""

    header: Header
    letterbox: Letterbox
    canvas: NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(frozen=True)
class Parsed:
    """What the graph says about one photo."""

    header: Header
    letterbox: Letterbox
    size_canvas: Size
    output: Output

    def id_grid(self) -> IdGrid:
        """Persons and parts by pixel of the photo."""
        return id_grid(self.output.part_map, self.output.person_map, self.letterbox, self.header.size_image)


@dataclass(frozen=True)
class PhotoParser:
    """A bundle on a backend, at one level of detail.

    `prepare` may run in several threads; `infer` in one at a time, because a backend serves one photo at a time.
    """

    manifest: Manifest
    backend: Backend
    detail: str
    canvases: Sequence[Size]
    max_pixels: int
    seconds: float  # an inference at this level, as measured at start-up

    def prepare(self, data: bytes) -> Prepared:
        """Decode a file into the canvas that shows it largest. Raises ImageError."""
        header = read_header(data, self.max_pixels)
        size_canvas = best_canvas(header.size_image, self.canvases)
        letterbox = letterbox_geometry(header.size_image, size_canvas)
        image = decode(data, header, at_least=(letterbox.height, letterbox.width))
        return Prepared(header, letterbox, fit_canvas(image, letterbox, size_canvas))

    def infer(self, prepared: Prepared) -> Parsed:
        """Run the graph."""
        size_canvas = prepared.canvas.shape[0], prepared.canvas.shape[1]
        return Parsed(prepared.header, prepared.letterbox, size_canvas, self.backend.infer(prepared.canvas))

    def model_info(self, size_canvas: Size) -> ModelInfo:
        """How an answer names what computed it."""
        return ModelInfo(
            name=self.manifest.name,
            version=self.manifest.version,
            backend=self.backend.name,
            precision=self.backend.precision,
            detail=self.detail,
            canvas=size_canvas,
        )
