"""Weights of pixels in the loss of parts, by where their label comes from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.taxonomy import BACKGROUND, IGNORE
from training.data.samples import Sample
from training.transforms.fields import dilate

BAND = 4  # canvas pixels on either side of a contour: the cells of stride 4 that it crosses

Float16 = NDArray[np.float16]


def part_weights(sample: Sample, pseudo_mask: float, boundary: float) -> Float16:
    """Return the weight [H, W] of each pixel's part, 0 if the part is unknown.

    Pixels of a person whose mask a model made, and those around them, weigh `pseudo_mask`: its contour is uncertain.
    Pixels on either side of any other person's contour weigh `boundary`, all others 1.
    """
    known = sample.parts != IGNORE
    weight = known.astype(np.float16)
    if boundary != 1:
        weight[_contours(sample)] *= boundary
    if pseudo_mask != 1 and sample.pseudo_mask.any():
        made = np.isin(sample.people, np.flatnonzero(sample.pseudo_mask) + 1)
        around = dilate(made, BAND) & (made | (sample.people == BACKGROUND))
        weight[around] = pseudo_mask * known[around]
    return weight


def _contours(sample: Sample) -> NDArray[np.bool_]:
    """Return the pixels [H, W] within `BAND` of the border of a person with background or with another person."""
    near = np.zeros(sample.size, bool)
    for people, axis in ((sample.people, 0), (sample.people.T, 1)):
        edge = people[1:] != people[:-1]
        edge &= (people[1:] != IGNORE) & (people[:-1] != IGNORE)
        view = near if axis == 0 else near.T
        view[1:] |= edge
        view[:-1] |= edge
    return dilate(near, BAND - 1)
