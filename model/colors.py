"""Colors that tell people apart in pictures. Torch-free: training and service draw with the same ones."""

from __future__ import annotations

import colorsys

from model.taxonomy import RGB

FIRST_HUE = 0.58
GOLDEN_RATIO = 0.618034  # turn of the hue from one person to the next: neighbours differ, however many there are


def person_color(id_: int) -> RGB:
    """The color of the person with an id (1, 2, ...)."""
    r, g, b = colorsys.hsv_to_rgb((FIRST_HUE + id_ * GOLDEN_RATIO) % 1, 0.7, 1.0)
    return round(r * 255), round(g * 255), round(b * 255)
