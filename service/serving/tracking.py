"""Keeps the ids of people over the frames of a stream, with ByteTrack (Zhang et al., ECCV 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from edgefirst.tracker import ByteTrack

from service.responses.schemas import Person

FIRST_SCORE = 0.3  # a track begins with a person this sure; it goes on with any
OVERLAP = 0.1  # least intersection over union of a box with where its track is expected
TRUST = 1.0  # in a new box against the expectation; the library's 0.25 lags behind a camera that turns
MEMORY_SECONDS = 1.5  # somebody who is not seen for longer comes back under a new id


class PeopleTracker:
    """The people of one stream. Its methods run in one thread at a time."""

    def __init__(self) -> None:
        self._tracker = ByteTrack(
            high_conf=FIRST_SCORE, iou=OVERLAP, update=TRUST, lifespan_ns=round(MEMORY_SECONDS * 1e9)
        )
        self._ids: dict[str, int] = {}  # the library's id of a living track, and ours
        self._count = 0

    def update(self, people: Sequence[Person], seconds: float) -> list[int | None]:
        """Return the track of each person of a frame taken at `seconds`, None for those without one.

        Tracks are counted 1, 2, ... in order of appearance.
        """
        boxes = np.array([p.bbox for p in people], dtype=np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # x, y, width, height to corners
        scores = np.array([p.score for p in people], dtype=np.float32)
        # One label for all: they are all people. The library takes labels of this type alone.
        tracks = self._tracker.update(boxes, scores, np.zeros(len(people), dtype=np.uintp), round(seconds * 1e9))
        ids = [None if track is None else self._id(track.uuid) for track in tracks]
        living = {track.info.uuid for track in self._tracker.get_active_tracks()}
        self._ids = {uuid: id_ for uuid, id_ in self._ids.items() if uuid in living}
        return ids

    def _id(self, uuid: str) -> int:
        if uuid not in self._ids:
            self._count += 1
            self._ids[uuid] = self._count
        return self._ids[uuid]
