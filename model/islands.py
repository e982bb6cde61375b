"""Pieces of people's masks that lie in somebody else's body, given to that person.

Between two people who touch, single cells may point to the wrong one (Eq. 17 has no notion of what hangs together).
Torch-free.

Differs from the paper, where each pixel decides alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.raw_prediction import RawPrediction

LARGEST = 0.3  # of the person's largest piece: larger ones are no islands
SAMPLES = 9  # points of a limb, its joints among them
AROUND = 0.3  # share of an island's outline that its new owner must have

UInt8 = NDArray[np.uint8]
Ints = NDArray[np.int64]


def give_back_islands(people: RawPrediction, limbs: Sequence[tuple[int, int]]) -> RawPrediction:
    """`people` with small pieces of a person's mask given to the other person who has most of their outline.

    Not a piece that one of the person's joints or limbs lies on: it may be all that others leave to see of them.

    limbs: pairs of joint classes.
    """
    pieces = _pieces(people.person_map)
    islands = _islands(pieces, people, np.array(limbs))
    if not islands.any():
        return people
    owner, share = _surrounding(pieces, people.person_map, islands)
    owners = np.where(islands & (share >= AROUND), owner, pieces.person).astype(np.uint8)
    return people._replace(person_map=owners[pieces.of_pixel])


class _Pieces(NamedTuple):
    """Connected regions (4 neighbours) of one person's pixels, or of nobody's."""

    of_pixel: Ints  # [H, W], index into the others
    person: UInt8  # [n], 0 nobody
    size: Ints  # [n], pixels


def _pieces(person_map: UInt8) -> _Pieces:
    """Label runs of equal ids along rows, then join those that touch in neighbouring rows."""
    first = np.ones(person_map.shape, bool)
    np.not_equal(person_map[:, 1:], person_map[:, :-1], out=first[:, 1:])
    run = np.cumsum(first.ravel()).reshape(person_map.shape) - 1  # [H, W], index of the pixel's run
    start = np.flatnonzero(first)
    person = person_map.ravel()[start]

    meets = (person_map[1:] == person_map[:-1]) & (first[1:] | first[:-1])  # where two runs begin to touch
    above, below = run[:-1][meets], run[1:][meets]
    piece = np.arange(len(start))
    while True:  # each round joins a tree of runs to a lower one, and halves the way to the roots
        low, high = np.minimum(piece[above], piece[below]), np.maximum(piece[above], piece[below])
        if np.array_equal(low, high):
            break
        np.minimum.at(piece, high, low)
        piece = piece[piece]
    roots, piece = np.unique(piece, return_inverse=True)
    length = np.diff(np.append(start, person_map.size))
    size = np.bincount(piece, length).astype(np.int64)
    return _Pieces(piece[run], person[roots], size)


def _islands(pieces: _Pieces, people: RawPrediction, limbs: Ints) -> NDArray[np.bool_]:
    """Which pieces [n] are small parts of somebody, off the joints and limbs of that person."""
    largest = np.zeros(256, np.int64)
    np.maximum.at(largest, pieces.person, pieces.size)
    islands = (pieces.person > 0) & (pieces.size <= LARGEST * largest[pieces.person])
    xy, found = people.keypoints[..., :2], people.keypoints[..., 2] > 0
    slot, limb = np.nonzero(found[:, limbs].all(2))
    first, last = xy[slot, limbs[limb, 0]], xy[slot, limbs[limb, 1]]  # [l, 2]
    along = first[:, None] + np.linspace(0, 1, SAMPLES)[:, None] * (last - first)[:, None]  # [l, SAMPLES, 2]
    alone, joint = np.nonzero(found)
    points = np.concatenate((along.reshape(-1, 2), xy[alone, joint]))
    owner = np.concatenate((np.repeat(slot, SAMPLES), alone)) + 1
    height, width = people.person_map.shape
    column, row = np.rint(points).astype(int).T
    crossed = pieces.of_pixel[row.clip(0, height - 1), column.clip(0, width - 1)]
    islands[crossed[pieces.person[crossed] == owner]] = False
    return islands


def _surrounding(pieces: _Pieces, person_map: UInt8, islands: NDArray[np.bool_]) -> tuple[Ints, NDArray[np.float64]]:
    """The other person [n] with most of an island's outline, and the share of it [n]."""
    outline = np.zeros((len(islands), 256), np.int64)
    for axis in (0, 1):
        piece = np.moveaxis(pieces.of_pixel, axis, 0)
        person = np.moveaxis(person_map, axis, 0)
        for here, there in ((slice(1, None), slice(-1)), (slice(-1), slice(1, None))):
            border = islands[piece[here]] & (person[here] != person[there])
            np.add.at(outline, (piece[here][border], person[there][border]), 1)
    owner = 1 + outline[:, 1:].argmax(1)
    return owner, outline[np.arange(len(owner)), owner] / np.maximum(outline.sum(1), 1)
