"""The graph's answer about one canvas, as arrays. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.id_runs import PERSON_SHIFT, Ids
from model.letterbox import Letterbox


class RawPrediction(NamedTuple):
    """The people of one canvas of H x W pixels: P person slots, K joints, C parts."""

    part_map: NDArray[np.uint8]  # [H, W], 0 background, 1..C
    person_map: NDArray[np.uint8]  # [H, W], 0 nobody, p + 1 = slot p
    keypoints: NDArray[np.float32]  # [P, K, 3]: x, y in canvas pixels, score; 0 = not found
    person_score: NDArray[np.float32]  # [P], falling; 0 = empty slot
    part_score: NDArray[np.float32]  # [P, C], mean probability of the part's pixels; 0 = absent
    overflow: int  # people, or joints of a class, beyond those that the graph can hold

    @classmethod
    def first_of(cls, tensors: Mapping[str, NDArray[Any]]) -> RawPrediction:
        """Copy the first image of a batch of named output tensors: a runtime may use its memory again."""
        first = {name: tensors[name][0].copy() for name in cls._fields}
        return cls(**{**first, "overflow": int(first["overflow"])})

    def from_score(self, least: float) -> RawPrediction:
        """Return the people whose score is at least that; the others' pixels are nobody's."""
        said = self.person_score.astype(float).round(4)  # as responses do: who has 0.7 there is not below 0.7
        kept = (self.person_score > 0) & (said >= least)  # the first ones, as scores fall
        people = int(kept.sum())
        return self._replace(
            part_map=np.where(self.person_map > people, 0, self.part_map).astype(np.uint8),
            person_map=np.where(self.person_map > people, 0, self.person_map).astype(np.uint8),
            keypoints=np.where(kept[:, None, None], self.keypoints, 0).astype(np.float32),
            person_score=np.where(kept, self.person_score, 0).astype(np.float32),
            part_score=np.where(kept[:, None], self.part_score, 0).astype(np.float32),
        )

    def ids(self, letterbox: Letterbox) -> Ids:
        """Return person and part in one, uint16 [h, w], of the canvas without its bars."""
        ids: Ids = np.left_shift(letterbox.content(self.person_map), PERSON_SHIFT, dtype=np.uint16)
        ids |= letterbox.content(self.part_map)
        return ids
