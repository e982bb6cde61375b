"""Maps persons and parts back to the pixels of the image, without enlarging the maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.letterbox import Letterbox

Size = tuple[int, int]  # height, width
Ids = NDArray[np.uint16]
Ints = NDArray[np.int64]

PERSON_SHIFT = 8  # combined id = person << 8 | part: neither has more than 255


@dataclass(frozen=True)
class IdGrid:
    """An image's ids, stored once for each block of pixels that nearest-neighbor upsampling fills with one value.

    `ids[r, c]` covers the image's rows `y_starts[r]` to `y_starts[r + 1]` and columns `x_starts[c]` to
    `x_starts[c + 1]`, the upper ends excluded; no block is empty.
    """

    ids: Ids  # [rows, columns]
    y_starts: Ints  # [rows + 1]
    x_starts: Ints  # [columns + 1]

    @property
    def size_image(self) -> Size:
        """Return height and width of the image in pixels."""
        return int(self.y_starts[-1]), int(self.x_starts[-1])

    def people(self) -> IdGrid:
        """Return the grid with the person's id alone."""
        return IdGrid((self.ids >> PERSON_SHIFT).astype(np.uint16), self.y_starts, self.x_starts)

    def enlarged(self) -> Ids:
        """Return the ids at the image's resolution, uint16 [height, width]."""
        rows = np.repeat(self.ids, np.diff(self.y_starts), axis=0)
        return np.repeat(rows, np.diff(self.x_starts), axis=1)


def id_grid(
    part_map: NDArray[np.uint8], person_map: NDArray[np.uint8], letterbox: Letterbox, size_image: Size
) -> IdGrid:
    """Build an image's ids from its canvas maps, [H, W] each: crops the bars, nearest neighbor, center to center."""
    rows = slice(letterbox.offset_y, letterbox.offset_y + letterbox.height)
    columns = slice(letterbox.offset_x, letterbox.offset_x + letterbox.width)
    ids: Ids = np.left_shift(person_map[rows, columns], PERSON_SHIFT, dtype=np.uint16)
    ids |= part_map[rows, columns]
    y_used, y_starts = _nearest(letterbox.height, size_image[0])
    x_used, x_starts = _nearest(letterbox.width, size_image[1])
    if len(y_used) < letterbox.height or len(x_used) < letterbox.width:
        ids = ids[np.ix_(y_used, x_used)]
    return IdGrid(ids, y_starts, x_starts)


def _nearest(source: int, target: int) -> tuple[Ints, Ints]:
    """Return which of `source` cells the centres of `target` pixels see, and the first pixel of each; then the end."""
    seen = (2 * np.arange(target, dtype=np.int64) + 1) * source // (2 * target)
    used, first = np.unique(seen, return_index=True)
    return used, np.append(first, target)
