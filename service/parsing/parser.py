"""Parses an image file with the graph and keeps the geometry that leads back to the image's pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from model.canvases import best_canvas
from model.contours import enlarge
from model.id_runs import IdRuns
from model.islands import give_back_islands
from model.letterbox import Letterbox, letterbox_geometry
from model.manifest import Manifest
from model.raw_prediction import RawPrediction
from model.two_scales import unite
from service.images.decoding import decode, fit_canvas
from service.images.header import Header, read_header
from service.parsing.turned import turned_warnings
from service.runtimes.types import Backend, Size

Levels = Mapping[str, Sequence[Size]]  # the canvases of each level of detail, from coarse to fine


@dataclass(frozen=True)
class Fitted:
    """An image on a canvas."""

    detail: str  # the level that the canvas is of
    letterbox: Letterbox
    canvas: NDArray[np.uint8]  # [H, W, 3] RGB


@dataclass(frozen=True)
class Prepared:
    """An image that is ready for the graph."""

    header: Header
    detail: str
    fitted: tuple[Fitted, ...]  # one, or a coarse and a fine one whose people are united
    warnings: tuple[str, ...] = ()  # about the file


@dataclass(frozen=True)
class Parsed:
    """Output of the graph for one image."""

    header: Header
    letterbox: Letterbox
    detail: str
    size_canvas: Size
    output: RawPrediction
    placed_score: float = 0.0  # of joints that were not found, but placed by the person's center
    warnings: tuple[str, ...] = ()  # about the file, or that it is turned

    def from_score(self, least: float) -> Parsed:
        """Return the people whose score is at least that; the others' pixels are nobody's."""
        return replace(self, output=self.output.from_score(least)) if least > 0 else self

    def id_runs(self, size: Size | None = None) -> IdRuns:
        """Return persons and parts by pixel of the image, or of the image at another size."""
        return enlarge(self.output.ids(self.letterbox), size or self.header.size_image)


@dataclass(frozen=True)
class ImageParser:
    """A bundle on a backend, with a default level of detail.

    `prepare` may run in several threads, `infer` in as many as the backend's `parallel`.
    """

    manifest: Manifest
    backend: Backend
    levels: Levels  # those that may be asked for
    detail: str  # the level of images that ask for none
    max_pixels: int
    seconds: float  # an inference at this level, as measured at start-up
    reason: str = ""  # why this backend
    # By level: what the backend must pass before the first answer there, or else raises BackendError.
    unchecked: dict[str, Callable[[Backend], None]] = field(default_factory=dict)

    def expected_seconds(self, detail: str) -> float:
        """Return about what an inference takes at a level, by its pixels."""
        return self.seconds * self._pixels(detail) / self._pixels(self.detail)

    def _pixels(self, detail: str) -> int:
        names = self.manifest.scales_of(detail)
        return sum(max(h * w for h, w in self.manifest.canvases[n]) * self.manifest.views_at(n) for n in names)

    def prepare(self, data: bytes, detail: str | None = None) -> Prepared:
        """Decode a file into the canvas that shows it largest, at a level of `levels`. Raises ImageError."""
        detail = detail or self.detail
        header = read_header(data, self.max_pixels)
        names = self.manifest.scales_of(detail)
        sizes = [best_canvas(header.size_image, self.manifest.canvases[name]) for name in names]
        boxes = [letterbox_geometry(header.size_image, size) for size in sizes]
        decoded = decode(data, header, at_least=(boxes[-1].height, boxes[-1].width))
        canvases = [fit_canvas(decoded.image, box, size) for box, size in zip(boxes, sizes, strict=True)]
        return Prepared(header, detail, tuple(map(Fitted, names, boxes, canvases)), decoded.warnings)

    def infer(self, prepared: Prepared) -> Parsed:
        """Run the graph on each canvas and unite what two of them show.

        If the surest person is not upright, it runs once more to see whether the image is turned.
        """
        found = [self._people(fit) for fit in prepared.fitted]
        finest = prepared.fitted[-1]
        output = found[0]
        if len(found) == 2:
            output = unite(found[0], found[1], prepared.fitted[0].letterbox, finest.letterbox)
        turned = turned_warnings(
            self.backend, finest.canvas, finest.letterbox, output, self.manifest.taxonomy.joint_names
        )
        height, width = output.part_map.shape
        return Parsed(
            prepared.header,
            finest.letterbox,
            prepared.detail,
            (height, width),
            output,
            self.manifest.decoder.fill_score,
            (*prepared.warnings, *turned),
        )

    def _people(self, fitted: Fitted) -> RawPrediction:
        if check := self.unchecked.get(fitted.detail):
            check(self.backend)
            self.unchecked.pop(fitted.detail, None)
        found = self.backend.infer(fitted.canvas, self.manifest.views_at(fitted.detail))
        return give_back_islands(found, self.manifest.taxonomy.limbs)
