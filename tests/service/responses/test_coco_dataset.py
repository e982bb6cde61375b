"""The data set is what pycocotools and annotation tools take for one."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from pycocotools.coco import COCO

from model.taxonomy import PASCAL_PERSON_PART
from service.responses.coco_dataset import coco_dataset


def test_pycocotools_reads_people_and_parts(
    client: httpx.Client, png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    response = client.post("/parse", content=png, headers={"Content-Type": "image/png"}).json()
    responses = [response | {"file_name": name} for name in ("a.png", "b/c.png")]
    dataset = coco_dataset(responses, PASCAL_PERSON_PART, {"name": "figures", "version": "1"})
    (tmp_path / "c.json").write_text(json.dumps(dataset))
    data = COCO(str(tmp_path / "c.json"))
    assert [i["file_name"] for i in data.loadImgs(data.getImgIds())] == ["a.png", "b/c.png"]
    person, *parts = data.loadCats(data.getCatIds())
    assert (person["name"], person["keypoints"]) == ("person", list(PASCAL_PERSON_PART.joint_names))
    assert min(min(limb) for limb in person["skeleton"]) == 1
    assert [p["name"] for p in parts] == list(PASCAL_PERSON_PART.part_names)
    for image_id in data.getImgIds():
        people = data.loadAnns(data.getAnnIds([image_id], [person["id"]]))
        for annotation, expected in zip(people, response["people"], strict=True):
            assert annotation["num_keypoints"] == sum(s > 0 for s in expected["keypoint_scores"])
            assert data.annToMask(annotation).sum() == annotation["area"] == expected["area"]
            own = [a for a in data.anns.values() if a.get("person_id") == annotation["id"]]
            names = [data.cats[a["category_id"]]["name"] for a in own]
            assert names == [p["name"] for p in expected["parts"]]
            assert sum(data.annToMask(a).sum() for a in own) == expected["area"]
