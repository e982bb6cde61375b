"""Formats of other tools, read by those tools or by a second implementation of their rules."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from scipy.ndimage import binary_dilation, distance_transform_edt
from skimage.draw import disk

from model.taxonomy import PASCAL_PERSON_PART
from service.responses.label_studio import TOLERANCE, brush_rle, label_studio_task
from service.responses.polygons import polygons
from tests.service.conftest import SIZE
from training.data.convert.label_studio import read_label_studio
from training.data.convert.labels import ClassMap
from training.data.convert.masks import brush_mask
from training.data.convert.rasterize import rasterize

BOX = {"x": 1, "y": 1, "width": 1, "height": 1, "rotation": 0}
NAMES = PASCAL_PERSON_PART.part_names


def ask(client: httpx.Client, png: bytes, **params: str) -> Any:
    response = client.post("/parse", files={"image": ("me.png", png)}, params=params)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


def layer(client: httpx.Client, png: bytes, name: str) -> np.ndarray:
    response = client.post("/parse", content=png, headers={"Content-Type": "image/png"}, params={"layer": name})
    return np.asarray(Image.open(io.BytesIO(response.content))).astype(int)


@pytest.fixture
def ids(client: httpx.Client, png: bytes) -> np.ndarray:
    """Part + 256 x person of each pixel."""
    red, green, _ = np.moveaxis(layer(client, png, "panoptic"), -1, 0)
    return red + 256 * green


def borders(ids: np.ndarray) -> np.ndarray:
    """Pixels that have another id to the left or above."""
    return (np.diff(ids, axis=0, prepend=ids[:1]) != 0) | (np.diff(ids, axis=1, prepend=ids[:, :1]) != 0)


@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_pycocotools_loads_coco_as_data_set_and_as_results(
    client: httpx.Client, png: bytes, ids: np.ndarray, masks: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ask(client, png, format="coco", masks=masks)
    (tmp_path / "c.json").write_text(json.dumps(dataset))
    truth = COCO(str(tmp_path / "c.json"))
    results = truth.loadRes(dataset["annotations"])  # puts the box's area over ours
    assert truth.imgs[1]["file_name"] == "me.png"
    assert [c["name"] for c in truth.loadCats(truth.getCatIds())] == ["person", *NAMES]
    for loaded in (truth, results):
        people = loaded.loadAnns(loaded.getAnnIds(catIds=[1]))
        for person_id, person in enumerate(people, start=1):
            np.testing.assert_array_equal(loaded.annToMask(person), ids // 256 == person_id)
            for part in (a for a in loaded.anns.values() if a.get("person_id") == person["id"]):
                expected = ids == 256 * person_id + part["category_id"] - 1
                np.testing.assert_array_equal(loaded.annToMask(part), expected)
                assert loaded is results or part["area"] == expected.sum() > 0
        assert len(people) == 2


def test_panoptic_segments_keep_the_rules_of_panopticapi(client: httpx.Client, png: bytes, ids: np.ndarray) -> None:
    dataset = ask(client, png, format="coco_panoptic")
    categories = {c["id"]: c for c in dataset["categories"]}
    assert [c["name"] for c in categories.values()] == list(NAMES)
    assert all(c["isthing"] == 1 and len(c["color"]) == 3 for c in categories.values())
    (annotation,) = dataset["annotations"]
    assert annotation["image_id"] == dataset["images"][0]["id"]
    assert annotation["file_name"] == "me.png"
    rgb = np.asarray(Image.open(io.BytesIO(base64.b64decode(annotation["png"]))).convert("RGB")).astype(int)
    found = rgb @ (1, 256, 256**2)  # panopticapi.utils.rgb2id
    np.testing.assert_array_equal(found, ids)
    # What panopticapi.evaluation demands: each id of the picture is a segment of a known category, each segment has
    # pixels, and 0 is nobody.
    segments = {s["id"]: s for s in annotation["segments_info"]}
    assert len(segments) == len(annotation["segments_info"])
    assert set(np.unique(found)) == {0, *segments}
    for id_, segment in segments.items():
        mask = found == id_
        assert segment["category_id"] in categories
        assert segment["iscrowd"] == 0
        assert segment["area"] == mask.sum()
        assert segment["bbox"] == coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))).tolist()


@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_a_task_of_label_studio_comes_back_through_the_converter_of_the_training(
    client: httpx.Client, png: bytes, ids: np.ndarray, masks: str, tmp_path: Path
) -> None:
    task = ask(client, png, format="labelstudio", masks=masks)
    assert task["data"] == {"image": "me.png"}
    (tmp_path / "me.png").write_bytes(png)
    export = [{"id": 1, "data": task["data"], "annotations": task["predictions"]}]
    (tmp_path / "export.json").write_text(json.dumps(export))
    names = ClassMap(PASCAL_PERSON_PART, {})
    rasterized = rasterize(
        read_label_studio(tmp_path / "export.json", names, None)[0].read(), names, PASCAL_PERSON_PART
    )
    expected = ask(client, png)["people"]
    order = [record["keypoints"][0] for record in rasterized.records]
    assert order == pytest.approx([p["keypoints"][0] for p in expected])
    # Brush strokes are exact, polygons simplified: what differs lies at a border.
    exact = masks == "rle" or distance_transform_edt(~borders(ids)) > TOLERANCE + 1
    np.testing.assert_array_equal((rasterized.people - ids // 256) * exact, 0)
    known = rasterized.parts != 255  # the edge that a person's box has and no part
    np.testing.assert_array_equal(((rasterized.parts - ids % 256) * exact)[known], 0)
    assert known.mean() > 0.9
    for record, person in zip(rasterized.records, expected, strict=True):
        assert record["keypoints"] == pytest.approx(person["keypoints"], abs=0.01)


def test_polygons_of_label_studio_have_few_points() -> None:
    ids = np.zeros((200, 200), np.uint16)
    ids[disk((100, 100), 80)] = 1 << 8 | 1
    (exact,) = polygons(ids, 1 << 8 | 1, (0, 0, 200, 200))
    part = {"category_id": 1, "name": NAMES[0], "score": 0.9, "bbox": (20, 20, 160, 160), "segmentation": [exact]}
    joints = [0] * 3 * len(PASCAL_PERSON_PART.joint_names)
    person = {"id": 1, "score": 0.9, "bbox": part["bbox"], "parts": [part], "keypoints": joints}
    model, image = {"name": "m", "version": "1"}, {"width": 200, "height": 200}
    response = {"model": model, "image": image, "file_name": "a.png", "people": [person]}
    task = label_studio_task(response, ids, PASCAL_PERSON_PART)
    _, region = task["predictions"][0]["result"]
    points = np.array(region["value"]["points"]) * 2
    assert len(points) < 40 < 300 < len(exact) // 2
    assert np.abs(np.linalg.norm(points - 100.5, axis=1) - 80).max() < 1.5


def test_without_masks_label_studio_gets_people_and_joints(client: httpx.Client, png: bytes) -> None:
    result = ask(client, png, format="labelstudio", masks="none")["predictions"][0]["result"]
    assert [r["type"] for r in result] == ["rectanglelabels", "keypointlabels", "keypointlabels"] * 2


def test_an_image_of_nobody_is_a_data_set_too(client: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (40, 30)).save(file, "PNG")
    assert ask(client, file.getvalue(), format="coco")["annotations"] == []
    assert ask(client, file.getvalue(), format="coco_panoptic")["annotations"][0]["segments_info"] == []
    assert ask(client, file.getvalue(), format="labelstudio")["predictions"][0]["result"] == []


@pytest.mark.parametrize("seed", range(30))
def test_brush_strokes_are_the_mask(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 60)), int(rng.integers(1, 60))
    mask = np.kron(rng.random(size) < rng.choice([0.1, 0.5, 0.9, 1.0]), np.ones((2, 3))).astype(bool)
    size = mask.shape
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    y, x = (rows[0], columns[0]) if len(rows) else (0, 0)
    np.testing.assert_array_equal(brush_mask(brush_rle(mask[y:, x:], (x, y), size), size), mask)


def test_a_run_longer_than_the_format_allows_is_written_as_several() -> None:
    for height in (1, 64, 128, 129):  # 128 x 256 x 4 values: exactly two of the longest runs
        mask = np.ones((height, 256), dtype=bool)
        np.testing.assert_array_equal(brush_mask(brush_rle(mask, (0, 0), mask.shape), mask.shape), mask)
        np.testing.assert_array_equal(
            brush_mask(brush_rle(mask[-1:], (0, height - 1), mask.shape), mask.shape).sum(axis=1)[-1:], [256]
        )


def test_the_labels_of_the_interface_are_those_of_the_task(client: httpx.Client, png: bytes) -> None:
    sdk = pytest.importorskip("label_studio_sdk.label_interface")
    interface = sdk.LabelInterface(client.get("/model").json()["label_studio_interface"])
    for masks in ("rle", "polygon", "none"):
        task = ask(client, png, format="labelstudio", masks=masks)
        (prediction,) = task["predictions"]
        assert interface.validate_task({"data": task["data"]})  # predictions break the SDK's own check, 2.0.19
        assert interface.validate_prediction(prediction, return_errors=True) == []
        wrong = {**prediction["result"][0], "value": {**BOX, "rectanglelabels": ["tail"]}}
        assert interface.validate_prediction({**prediction, "result": [wrong]}, return_errors=True)


def test_label_studios_sdk_decodes_the_brush(client: httpx.Client, png: bytes, ids: np.ndarray) -> None:
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    result = ask(client, png, format="labelstudio")["predictions"][0]["result"]
    strokes = [r for r in result if r["type"] == "brushlabels"]
    for stroke in strokes:
        alpha = brush.decode_rle(stroke["value"]["rle"]).reshape(*SIZE, 4)[..., 3]
        person = int(stroke["parentID"].removeprefix("p"))
        part = NAMES.index(stroke["value"]["brushlabels"][0]) + 1
        np.testing.assert_array_equal(alpha == 255, ids == 256 * person + part)
    assert len(strokes) == len(np.unique(ids)) - 1


@pytest.mark.parametrize("masks", ["rle", "polygon"])
def test_supervision_loads_coco(client: httpx.Client, png: bytes, ids: np.ndarray, masks: str, tmp_path: Path) -> None:
    supervision = pytest.importorskip("supervision")
    (tmp_path / "me.png").write_bytes(png)
    (tmp_path / "c.json").write_text(json.dumps(ask(client, png, format="coco", masks=masks)))
    dataset = supervision.DetectionDataset.from_coco(str(tmp_path), str(tmp_path / "c.json"), force_masks=True)
    assert dataset.classes == ["person", *NAMES]
    ((_, _, detections),) = list(dataset)
    people = detections[detections.class_id == 0]
    for person_id, mask in enumerate(people.mask, start=1):
        expected = ids // 256 == person_id
        if masks == "polygon":  # supervision draws them with OpenCV, which colors the pixels of the border, too
            assert not (expected & ~mask).any()
            expected = binary_dilation(expected, np.ones((3, 3)))
            assert not (mask & ~expected).any()
        else:
            np.testing.assert_array_equal(mask, expected)
    assert len(people) == 2
    assert len(detections) == 2 + len(np.unique(ids)) - 1
