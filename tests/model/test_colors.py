from __future__ import annotations

import numpy as np

from model.colors import person_color
from model.taxonomy import DENSEPOSE_COCO

SIZE, CANVAS = (150, 200), (96, 128)
RED_PART, BLUE_PART = 3, 2


def test_people_and_parts_can_be_told_apart() -> None:
    for colors in ([person_color(i) for i in range(1, 13)], list(DENSEPOSE_COCO.palette)):
        for i, a in enumerate(colors):
            for b in colors[:i]:
                assert np.abs(np.array(a) - b).max() >= 25, (a, b)
