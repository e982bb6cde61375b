"""Maps as nasty as a decoder could make them."""

from __future__ import annotations

import numpy as np


def random_maps(
    rng: np.random.Generator, size: tuple[int, int], people: int, parts: int
) -> tuple[np.ndarray, np.ndarray]:
    """A part and a person map of blocks in which persons touch, fall apart and reach every border."""
    block = int(rng.integers(1, 9))
    small = -(-size[0] // block), -(-size[1] // block)
    person = rng.integers(0, people + 1, small, dtype=np.uint8) * (rng.random(small) < rng.choice([0.1, 0.6, 1.0]))
    part = rng.integers(1, parts + 1, small, dtype=np.uint8) * (person > 0)
    part_map, person_map = (
        m.repeat(block, 0).repeat(block, 1)[: size[0], : size[1]].astype(np.uint8) for m in (part, person)
    )
    return part_map, person_map
