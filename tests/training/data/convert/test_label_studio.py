"""Label Studio exports, region by region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO
from tests.training.data.convert.exports import brush_strokes, region
from training.data.convert.label_studio import read_label_studio
from training.data.convert.labels import ClassMap
from training.data.convert.rasterize import RasterizedLabels, rasterize
from training.data.samples import DatasetError

T = DENSEPOSE_COCO
SIZE = (20, 40)
HEAD = T.part_names.index("head") + 1
Record = dict[str, Any]

BOX = {"x": 10.0, "y": 10.0, "width": 50.0, "height": 80.0, "rotation": 0}
SQUARE = {"points": [[25, 20], [50, 20], [50, 60], [25, 60]]}  # columns 10 to 19, rows 4 to 11
PERSON = region("p", "rectanglelabels", "person", SIZE, BOX)
POINT = {"x": 50.0, "y": 50.0, "width": 0.5}


def head(parent: str | None = "p", **fields: Any) -> Record:
    return region("h", "polygonlabels", "head", SIZE, SQUARE, parent) | fields


def export(root: Path, *results: Record, **task: Any) -> Path:
    (root / "images").mkdir()
    Image.new("RGB", SIZE[::-1]).save(root / "images/me.jpg")
    default = {"id": 3, "data": {"image": "/data/upload/1/0a1b2c3d-me.jpg"}, "annotations": [{"result": results}]}
    (root / "export.json").write_text(json.dumps([{**default, **task}]))
    return root / "export.json"


def convert(source: Path, images: Path | None = None) -> RasterizedLabels:
    names = ClassMap(T, {})
    return rasterize(read_label_studio(source, names, images)[0].read(), names, T)


def test_polygons_under_a_person(tmp_path: Path) -> None:
    rasterized = convert(export(tmp_path, PERSON, head()))
    expected = np.zeros(SIZE, np.uint8)
    expected[4:12, 10:20] = 1
    np.testing.assert_array_equal(rasterized.people, expected)
    np.testing.assert_array_equal(rasterized.parts, expected * HEAD)
    assert rasterized.records[0]["bbox"] == [10, 4, 10, 8]


def test_a_part_outside_the_panels_groups_goes_to_the_box_around_it(tmp_path: Path) -> None:
    assert convert(export(tmp_path, PERSON, head(parent=None))).people[5, 11] == 1


def test_a_person_may_be_painted(tmp_path: Path) -> None:
    mask = np.zeros(SIZE, bool)
    mask[2:15, 4:30] = True
    person = region("p", "brushlabels", "person", SIZE, {"format": "rle", "rle": brush_strokes(mask)})
    rasterized = convert(export(tmp_path, person, head()))
    np.testing.assert_array_equal(rasterized.people, mask)
    assert (rasterized.parts[mask & (rasterized.parts != HEAD)] == 255).all()


def test_joints_are_percent_of_the_image(tmp_path: Path) -> None:
    nose = region("n", "keypointlabels", "nose", SIZE, POINT, "p")
    eye = region("e", "keypointlabels", "left_eye", SIZE, POINT)  # of the only person
    hidden = {**eye, "type": "choices", "value": {**POINT, "choices": ["occluded"]}}
    rasterized = convert(export(tmp_path, PERSON, nose, eye, hidden))
    assert rasterized.records[0]["keypoints"][:6] == [19.5, 9.5, 2, 19.5, 9.5, 1]
    assert rasterized.records[0]["mask_source"] == "none"
    assert rasterized.records[0]["bbox"] == [4, 2, 20, 16]


def test_an_image_without_regions_has_no_people(tmp_path: Path) -> None:
    rasterized = convert(export(tmp_path))
    assert rasterized.parts.shape == SIZE
    assert not rasterized.people.any()
    assert not rasterized.records


def test_other_results_are_passed_over(tmp_path: Path) -> None:
    relation = {"from_id": "h", "to_id": "p", "type": "relation", "direction": "right", "labels": ["of"]}
    text = {**head(), "type": "textarea", "value": {"text": ["a hat"]}}
    assert convert(export(tmp_path, PERSON, relation, text, head())).people[5, 11] == 1


def test_the_last_annotation_counts_and_ground_truth_before_it(tmp_path: Path) -> None:
    empty: Record = {"result": []}
    full: Record = {"result": [PERSON, head()]}
    for name, done, people in (
        ("last", [empty, full], 1),
        ("cancelled", [full, {**empty, "was_cancelled": True}], 1),
        ("truth", [{**full, "ground_truth": True}, empty], 1),
        ("empty", [full, empty], 0),
    ):
        (tmp_path / name).mkdir()
        assert len(convert(export(tmp_path / name, annotations=done)).records) == people, name


@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/0a1b2c3d-me.jpg",
        "/data/local-files/?d=somewhere/me.jpg",
        "s3://bucket/folder/me.jpg",
        "https://example.org/a%20b/me.jpg?token=1",
        "me.jpg",
    ],
)
def test_images_are_found_by_name(tmp_path: Path, address: str) -> None:
    source = export(tmp_path, PERSON, head(), data={"image": address})
    assert len(convert(source).records) == 1
    assert len(convert(source, tmp_path / "images").records) == 1


def test_local_files_keep_their_folders(tmp_path: Path) -> None:
    source = export(tmp_path, PERSON, head(), data={"image": "/data/local-files/?d=a/me.jpg"})
    (tmp_path / "images/a").mkdir()
    (tmp_path / "images/me.jpg").rename(tmp_path / "images/a/me.jpg")
    assert read_label_studio(source, ClassMap(T, {}), None)[0].read().image == tmp_path / "images/a/me.jpg"


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([PERSON, head("x")], "its head h was dragged under x, which is no person; move it"),
        (
            [PERSON, head(), region("t", "polygonlabels", "torso", SIZE, SQUARE, "h")],
            "dragged under h, which is no person",
        ),
        ([head(None)], "its parts name nobody"),
        ([PERSON, head(image_rotation=90)], "drawn on a turned image"),
        ([PERSON, head(original_width=41)], "images of 2 sizes"),
        ([PERSON, region("h", "rectanglelabels", "head", SIZE, BOX, "p")], "its head h is a rectangle"),
        ([region("p", "rectanglelabels", "person", SIZE, {**BOX, "rotation": 5})], "its rectangle p is turned"),
        ([PERSON, head(value={**SQUARE, "polygonlabels": ["head", "torso"]})], "has the labels .*; leave one"),
        ([PERSON, head(value={"polygonlabels": ["head"], "points": [[1, 2]]})], "three points"),
        (
            [region("e", "ellipselabels", "head", SIZE, {"x": 5, "y": 5, "radiusX": 2, "radiusY": 2})],
            "of ellipselabels",
        ),
        ([PERSON, region("b", "brushlabels", "head", SIZE, {"rle": [1]}, "p")], "brush stroke cannot be decoded"),
        ([PERSON] + [region(i, "keypointlabels", "nose", SIZE, POINT, "p") for i in "ab"], "two nose; drag each"),
        ([PERSON, {**head(), "value": {"points": 5, "polygonlabels": ["head"]}}], "a record is damaged"),
        ([{"type": "polygonlabels", "value": {"polygonlabels": ["head"]}}], "a record lacks 'id'"),
    ],
)
def test_a_broken_task_is_refused(tmp_path: Path, results: list[Record], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        convert(export(tmp_path, *results))


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"annotations": []}, "it has no annotation; submit one"),
        ({"annotations": [{"was_cancelled": True}]}, "it has no annotation; submit one"),
        ({"data": {"image": "/data/upload/1/no.jpg"}}, r"its image 'no.jpg' is not in .*images; put it there"),
        ({"data": {"image": 5}}, "a record is damaged"),
    ],
)
def test_a_task_without_labels_or_image_is_refused(tmp_path: Path, task: Record, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        convert(export(tmp_path, PERSON, head(), **task))


def test_the_short_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps([{"id": 1, "image": "me.jpg", "label": []}]))
    with pytest.raises(DatasetError, match="export as JSON, not as JSON-MIN"):
        read_label_studio(path, ClassMap(T, {}), None)
