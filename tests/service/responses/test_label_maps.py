from __future__ import annotations

import io

import numpy as np
from PIL import Image

from model.taxonomy import PASCAL_PERSON_PART
from service.parsing.parser import Parsed
from service.responses.label_maps import panoptic_png, parts_png, people_png

SIZE, CANVAS = (150, 200), (96, 128)
RED_PART, BLUE_PART = 3, 2


def test_layers_hold_ids_at_the_size_of_the_image(parsed: Parsed) -> None:
    runs = parsed.id_runs()
    parts, people, panoptic = (
        np.asarray(Image.open(io.BytesIO(data)))
        for data in (parts_png(runs, PASCAL_PERSON_PART), people_png(runs), panoptic_png(runs))
    )
    assert parts.shape == people.shape == SIZE
    assert set(zip(people.ravel().tolist(), parts.ravel().tolist(), strict=True)) == {(0, 0), (1, 3), (2, 2)}
    assert np.array_equal(panoptic, np.stack([parts, people, np.zeros_like(parts)], axis=-1))
