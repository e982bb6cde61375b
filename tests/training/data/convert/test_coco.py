"""COCO exports that are not as they should be."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from tests.training.data.convert.exports import write_instances, write_panoptic, write_people
from training.data.convert.coco import read_instances, read_panoptic
from training.data.convert.labels import ClassMap
from training.data.convert.rasterize import RasterizedLabels, rasterize
from training.data.samples import DatasetError, Sample

T = DENSEPOSE_COCO


@pytest.fixture
def sample() -> Sample:
    return replace(draw_figures(T, (64, 96), people=2), key="me")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def panoptic(source: Path, people: Path | None = None) -> RasterizedLabels:
    names = ClassMap(T, {})
    return rasterize(read_panoptic(source, names, None, people)[0].read(), names, T)


def instances(source: Path) -> RasterizedLabels:
    names = ClassMap(T, {})
    return rasterize(read_instances(source, names, None)[0].read(), names, T)


def segment(value: dict[str, Any], **fields: object) -> None:
    value["annotations"][0]["segments_info"][0].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["annotations"].clear(), "it has no segments; annotate it"),
        (lambda v: segment(v, id=5), "its segment 5 has no pixel in me.png"),
        (
            lambda v: v["annotations"][0]["segments_info"].pop(),
            "me.png has pixels of segment .* which segments_info lacks",
        ),
        (lambda v: segment(v, category_id=99), "a record lacks 99, or it names no record"),
        (lambda v: v["images"][0].update(height=10), r"me.png is \(64, 96\) pixels, the image \(10, 96\)"),
        (lambda v: v["annotations"][0].update(file_name="no.png"), "no.png cannot be read"),
        (lambda v: v["images"][0].pop("width"), "a record lacks 'width'"),
        (lambda v: v["annotations"][0].pop("image_id"), "a record lacks 'image_id': .*; export it again"),
        (lambda v: v.pop("categories"), "is no COCO file .*categories"),
        (lambda v: v.update(images=[1]), "is no COCO file .*images is no list of objects"),
        (lambda v: v["images"][0].update(file_name="no.jpg"), "are not beside it; name their folder with --images"),
    ],
)
def test_a_broken_panoptic_file_is_named(
    tmp_path: Path, sample: Sample, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    source = write_panoptic(tmp_path, [sample], T)
    edit(source, change)
    with pytest.raises(DatasetError, match=message):
        panoptic(source)


def test_crowds_are_unknown(tmp_path: Path, sample: Sample) -> None:
    source = write_panoptic(tmp_path, [sample], T)
    edit(source, lambda v: [s.update(iscrowd=1) for s in v["annotations"][0]["segments_info"] if s["person_id"] == 2])
    rasterized = panoptic(source)
    np.testing.assert_array_equal(rasterized.people, np.where(sample.people == 2, 255, sample.people))
    np.testing.assert_array_equal(rasterized.parts, np.where(sample.people == 2, 255, sample.parts))
    assert len(rasterized.records) == 1


def test_without_a_segment_is_background_unless_that_has_a_category(tmp_path: Path, sample: Sample) -> None:
    source = write_panoptic(tmp_path, [sample], T)
    assert (panoptic(source).parts[sample.parts == 0] == 0).all()
    png = tmp_path / "annotations/panoptic_own/me.png"
    colors = np.array(Image.open(png))
    colors[:20][sample.parts[:20] == 0] = (9, 0, 0)
    Image.fromarray(colors).save(png)

    def name_background(value: dict[str, Any]) -> None:
        value["categories"].append({"id": 1, "name": "background"})
        value["annotations"][0]["segments_info"].append({"id": 9, "category_id": 1})

    edit(source, name_background)
    rasterized = panoptic(source)
    nobody = sample.parts == 0
    assert (rasterized.people[:20][nobody[:20]] == 0).all()
    assert (rasterized.people[20:][nobody[20:]] == 255).all()
    assert (rasterized.parts[20:][nobody[20:]] == 255).all()


def test_person_ids_are_ids_in_the_file_of_people(tmp_path: Path, sample: Sample) -> None:
    source = write_panoptic(tmp_path, [sample], T)
    people = write_people(tmp_path, [sample], T)  # 100 and 101
    ids = {1: 101, 2: 100}
    edit(source, lambda v: [s.update(person_id=ids[s["person_id"]]) for s in v["annotations"][0]["segments_info"]])
    rasterized = panoptic(source, people)
    # What a segment says wins over the mask that holds it.
    np.testing.assert_array_equal(rasterized.people, np.array([0, 2, 1], np.uint8)[sample.people])
    assert len(rasterized.records) == 2


def annotation(**fields: object) -> Callable[[dict[str, Any]], object]:
    """An edit of the first part."""
    return lambda v: v["annotations"][1].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (annotation(segmentation=[]), "has no segmentation; outline it"),
        (annotation(segmentation=[[1, 2]]), "three points"),
        (annotation(category_id=99), "a record lacks 99"),
        (lambda v: v["annotations"][0].update(keypoints=[1, 2]), "a record is damaged"),
        (lambda v: v["categories"][0].pop("keypoints"), "a record is damaged"),
    ],
)
def test_broken_instances_are_named(
    tmp_path: Path, sample: Sample, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    source = write_instances(tmp_path, [sample], T)
    edit(source, change)
    with pytest.raises(DatasetError, match=message):
        instances(source)


def test_a_crowd_of_instances_is_unknown(tmp_path: Path, sample: Sample) -> None:
    source = write_instances(tmp_path, [sample], T)
    edit(source, lambda v: v["annotations"][0].update(iscrowd=1))
    edit(source, lambda v: [v["annotations"].remove(a) for a in v["annotations"][1:15] if a["category_id"] != 1])
    rasterized = instances(source)
    assert (rasterized.people[sample.people == 1] == 255).all()
    assert len(rasterized.records) == 1


def test_attributes_may_name_the_person(tmp_path: Path) -> None:
    """Two boxes that hold each other's parts, as CVAT writes its own fields."""
    (tmp_path / "images").mkdir()
    Image.new("RGB", (10, 10)).save(tmp_path / "images/me.png")
    square = [[2, 2, 4, 2, 4, 4, 2, 4]]
    people = [
        {"id": i, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "attributes": {"person_id": i}}
        for i in (7, 8)
    ]
    head = {"id": 1, "image_id": 1, "category_id": 2, "segmentation": square, "attributes": {"person_id": 8}}
    value = {
        "images": [{"id": 1, "file_name": "me.png", "width": 10, "height": 10}],
        "annotations": [*people, head],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "head"}],
    }
    source = tmp_path / "instances.json"
    source.write_text(json.dumps(value))
    rasterized = instances(source)
    assert (rasterized.people[2:4, 2:4] == 2).all()
    assert [record["mask_source"] for record in rasterized.records] == ["none", "ground_truth"]
