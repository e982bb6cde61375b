"""Writes the golden maps: an image's maps as torch computes them, which the service checks every backend against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from export.parity import image_input
from model.canvases import CANVASES, SCALES, TTA_PASSES, best_canvas
from model.parser import HumanParser


@torch.no_grad()
def write_golden(parser: HumanParser, sample: Path, path: Path) -> None:
    """Write a canvas of the sample image with its part and person map, for each level of detail.

    Levels that are united from two others have none of their own.

    The arrays are `{detail}_image` uint8 [H, W, 3], `{detail}_part_map` and `{detail}_person_map` uint8 [H, W].
    """
    with Image.open(sample) as file:
        size_image = (file.height, file.width)
    arrays: dict[str, Any] = {}  # numpy's own signature takes no dictionary of arrays
    for detail in CANVASES:
        if detail in SCALES:
            continue
        image = image_input(sample, best_canvas(size_image, CANVASES[detail]))
        people = parser(torch.from_numpy(image[None].repeat(TTA_PASSES.get(detail, 1), 0)))
        arrays[f"{detail}_image"] = image
        arrays[f"{detail}_part_map"] = people.part_map[0].numpy()
        arrays[f"{detail}_person_map"] = people.person_map[0].numpy()
    np.savez_compressed(path, **arrays)
