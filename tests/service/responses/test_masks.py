"""Masks: byte for byte what pycocotools makes of the painted ids."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco

from model.contours import enlarge
from model.id_runs import IdRuns
from service.responses.masks import encode
from tests.service.responses.random_maps import random_maps


def random_runs(rng: np.random.Generator) -> IdRuns:
    part_map, person_map = random_maps(rng, tuple(rng.integers(1, 128, 2)), people=4, parts=5)
    size_image = int(rng.integers(1, 400)), int(rng.integers(1, 400))
    return enlarge(person_map.astype(np.uint16) << 8 | part_map, size_image)


@pytest.mark.parametrize("seed", range(40))
def test_counts_area_and_box_equal_pycocotools(seed: int) -> None:
    runs = random_runs(np.random.default_rng(seed))
    painted = runs.painted()
    assert painted.shape == runs.size_image
    for ids, masks in ((painted, encode(runs)), (painted >> 8, encode(runs.people()))):
        assert list(masks) == [i for i in np.unique(ids) if i]
        for i, mask in masks.items():
            reference = coco.encode(np.asfortranarray((ids == i).astype(np.uint8)))
            assert mask.counts.encode() == reference["counts"]
            assert mask.area == coco.area(reference)
            assert list(mask.box) == coco.toBbox(reference).tolist()


def test_an_image_full_of_one_person_is_one_run() -> None:
    (mask,) = encode(enlarge(np.full((32, 32), 257, np.uint16), (50, 40))).values()
    assert (mask.area, mask.box) == (2000, (0, 0, 40, 50))
    assert coco.area({"size": [50, 40], "counts": mask.counts.encode()}) == 2000


def test_an_empty_image_has_no_masks() -> None:
    assert encode(enlarge(np.zeros((32, 32), np.uint16), (50, 40))) == {}
