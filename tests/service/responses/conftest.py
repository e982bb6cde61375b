from __future__ import annotations

import numpy as np
import pytest

from model.letterbox import letterbox_geometry
from model.raw_prediction import RawPrediction
from service.images.header import Header
from service.parsing.parser import Parsed

SIZE, CANVAS = (150, 200), (96, 128)
RED_PART, BLUE_PART = 3, 2


@pytest.fixture
def parsed() -> Parsed:
    """Person 1 in the left half, rows 16..79 of the canvas, person 2 beside; a vertical limb in each."""
    part_map, person_map = np.zeros((2, *CANVAS), dtype=np.uint8)
    part_map[16:80, 10:60], person_map[16:80, 10:60] = RED_PART, 1
    part_map[16:80, 60:110], person_map[16:80, 60:110] = BLUE_PART, 2
    keypoints = np.zeros((4, 14, 3), dtype=np.float32)
    keypoints[0, :2] = [(35, 30, 0.9), (35, 60, 0.9)]
    keypoints[1, :2] = [(85, 30, 0.9), (85, 60, 0.9)]
    output = RawPrediction(part_map, person_map, keypoints, np.array([0.9, 0.8, 0, 0], np.float32), np.zeros((4, 6)), 0)
    return Parsed(Header("PNG", "RGB", 1, SIZE), letterbox_geometry(SIZE, CANVAS), "fast", CANVAS, output)
