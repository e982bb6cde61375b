"""Person masks against polygons of humans."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.data.samples import DatasetError, Sample
from training.evaluation.true_masks import read_true_masks
from training.inference.predictions import Prediction

TALL, SHORT = (10.0, 10.0, 40.0, 100.0), (60.0, 10.0, 90.0, 60.0)  # x0, y0, x1, y1


@pytest.fixture
def sample() -> Sample:
    return draw_figures(DENSEPOSE_COCO, (128, 192), people=1, seed=0)


def instances(path: Path, key: str, *boxes: tuple[float, ...], size: tuple[int, int] = (128, 192)) -> Path:
    polygons = [[x0, y0, x1, y0, x1, y1, x0, y1] for x0, y0, x1, y1 in boxes]
    crowd = {"image_id": 7, "iscrowd": 1, "segmentation": {"counts": [128 * 192], "size": [128, 192]}}
    people = [{"image_id": 7, "iscrowd": 0, "segmentation": [polygon]} for polygon in polygons]
    image = {"id": 7, "key": key, "height": size[0], "width": size[1]}
    path.write_text(json.dumps({"images": [image], "annotations": [*people, crowd]}))
    return path


def predicted(*boxes: tuple[int, int, int, int]) -> Prediction:
    person_map = np.zeros((128, 192), np.uint8)
    for number, (x0, y0, x1, y1) in enumerate(boxes, 1):
        person_map[y0:y1, x0:x1] = number
    count = len(boxes)
    empty = np.zeros((count, 17, 3), np.float32)
    return Prediction(person_map, person_map, empty, np.ones(count, np.float32), np.zeros((count, 14), np.float32))


def test_the_best_mask_of_each_tall_person_counts(tmp_path: Path, sample: Sample) -> None:
    truth = read_true_masks(instances(tmp_path / "true.json", sample.key, TALL, SHORT))
    truth.show(sample, predicted((0, 0, 5, 5), (10, 10, 40, 46)))
    report = truth.report()
    assert report["people"] == 1  # the other is not over 64 pixels, the crowd is none
    assert report["mean_IoU"] == pytest.approx(0.4, abs=0.02)
    truth.show(sample, predicted((10, 10, 40, 100)))
    assert truth.report()["mean_IoU"] == pytest.approx(0.7, abs=0.02)
    assert truth.report()["found"] == 0.5


def test_an_image_without_people_counts_as_missed(tmp_path: Path, sample: Sample) -> None:
    truth = read_true_masks(instances(tmp_path / "true.json", sample.key, TALL))
    truth.show(sample, predicted())
    assert truth.report() == {"people": 1, "mean_IoU": 0.0, "found": 0.0}


def test_other_images_do_not_count(tmp_path: Path, sample: Sample) -> None:
    truth = read_true_masks(instances(tmp_path / "true.json", "another", TALL))
    truth.show(sample, predicted((10, 10, 40, 100)))
    assert truth.report() == {"people": 0, "mean_IoU": None, "found": None}


def test_masks_of_another_size_are_refused(tmp_path: Path, sample: Sample) -> None:
    truth = read_true_masks(instances(tmp_path / "true.json", sample.key, TALL, size=(64, 96)))
    with pytest.raises(DatasetError, match=r"a true mask is \(64, 96\), the image \(128, 192\)"):
        truth.show(sample, predicted())


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("[]")
    with pytest.raises(DatasetError, match="no COCO instances file"):
        read_true_masks(tmp_path / "no.json")
