"""An image's ids as runs of equal ids down its columns, column after column, as COCO's RLE counts. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.manifest import Size

Ids = NDArray[np.uint16]
Ints = NDArray[np.int64]

PERSON_SHIFT = 8  # combined id = person << 8 | part: neither has more than 255
PART_MASK = 2**PERSON_SHIFT - 1


@dataclass(frozen=True)
class IdRuns:
    """Run r has the id `ids[r]` from the pixel `starts[r]` up to the next run's; pixel x * height + y is (x, y).

    The first run starts at 0; a run may go on in the next column; neighboring runs have different ids.
    """

    ids: Ids  # [n]
    starts: Ints  # [n]
    size_image: Size

    @property
    def ends(self) -> Ints:
        """Return the pixel behind each run [n]."""
        return np.append(self.starts[1:], self.size_image[0] * self.size_image[1])

    def people(self) -> IdRuns:
        """Return the runs of the person's id alone."""
        return joined((self.ids >> PERSON_SHIFT).astype(np.uint16), self.starts, self.size_image)

    def painted(self) -> Ids:
        """Return the ids of all pixels, uint16 [height, width]."""
        height, width = self.size_image
        return np.repeat(self.ids, self.ends - self.starts).reshape(width, height).T


def joined(ids: Ids, starts: Ints, size_image: Size) -> IdRuns:
    """Build runs of which neighbors with the same id become one."""
    first = np.append(True, ids[1:] != ids[:-1])
    return IdRuns(ids[first], starts[first], size_image)
