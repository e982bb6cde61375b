from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def corners() -> Image.Image:
    """Quarters: red, green / blue, grey; wider than high."""
    array = np.zeros((32, 48, 3), dtype=np.uint8)
    array[:16, :24], array[:16, 24:] = (200, 0, 0), (0, 200, 0)
    array[16:, :24], array[16:, 24:] = (0, 0, 200), (128, 128, 128)
    return Image.fromarray(array)
