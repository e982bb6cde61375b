"""A parser's answers as labels: what is written is read back, what is doubtful is unknown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import IGNORE, PASCAL_PERSON_PART
from tests.bundles import SCORES, figure_bundle, figure_image
from training.__main__ import main
from training.data.datasets.folders import FolderDataset

T = PASCAL_PERSON_PART
FIRST, SECOND = (slice(30, 150), slice(30, 90)), (slice(30, 180), slice(180, 240))  # rows and columns


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(figure_image((192, 288), (1, 2, (30, 30, 90, 150)), (2, 4, (180, 30, 240, 180)))).save(
        folder / "two.png"
    )
    Image.new("RGB", (288, 192)).save(folder / "nobody.png")
    return folder


def labelled(images: Path, out: Path, *options: str) -> FolderDataset:
    bundle = figure_bundle(out.parent / "bundle")
    assert main(["pseudo-label", str(bundle), str(images), "--out", str(out), "--detail", "high", *options]) == 0
    return FolderDataset([out], T)


def test_predictions_become_labels(images: Path, tmp_path: Path) -> None:
    data = labelled(images, tmp_path / "out")
    assert [(image.key, image.negative, image.ground_truth) for image in data.records] == [
        ("nobody", False, True), ("two", False, False),
    ]  # fmt: skip
    nobody, two = data.load(0), data.load(1)
    assert not nobody.people.any()
    assert len(nobody.keypoints) == 0
    people, parts = np.zeros((192, 288), np.uint8), np.zeros((192, 288), np.uint8)
    people[FIRST], people[SECOND], parts[FIRST], parts[SECOND] = 1, 2, 2, 4
    assert (two.people == people).mean() > 0.99  # contours pass through a canvas of another scale
    assert (two.parts == parts).mean() > 0.99
    assert two.has_mask.all()
    np.testing.assert_allclose(two.boxes, [[30, 30, 89, 149], [180, 30, 239, 179]], atol=2)
    assert (two.keypoints[:, :2, 2] == 2).all()
    assert not two.joints_labelled[:, 2:].any()  # what was not found is not known to be absent
    np.testing.assert_allclose(two.keypoints[:, 0, :2], [[59.5, 89.5], [209.5, 104.5]], atol=1.5)


def test_doubtful_people_are_unknown(images: Path, tmp_path: Path) -> None:
    between = sum(SCORES) / 2
    two = labelled(images, tmp_path / "out", "--score-thr", str(between)).load(1)
    assert len(two.keypoints) == 1
    assert (two.people[FIRST] == 1).mean() > 0.95
    for labels in (two.people, two.parts):
        assert (labels[SECOND] == IGNORE).mean() > 0.95
        assert not (labels[FIRST] == IGNORE).any()


def test_an_image_that_cannot_be_read_is_left_out(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "broken.png").write_bytes(b"no picture")
    data = labelled(images, tmp_path / "out")
    assert len(data) == 2
    out, err = capsys.readouterr()
    assert "left out:" in err
    assert "broken.png" in err
    assert "2 images of 2 people" in out
    for path in images.iterdir():
        path.write_bytes(b"no picture")
    arguments = ["pseudo-label", str(tmp_path / "bundle"), str(images), "--out", str(tmp_path / "none")]
    assert main(arguments) == 2
    assert "none of 3 images can be read" in capsys.readouterr().err
    assert main([*arguments, "--score-thr", "1.5"]) == 2
    assert "--score-thr 1.5: choose a score from 0 to 1" in capsys.readouterr().err


def test_records_are_marked_as_pseudo_labels(images: Path, tmp_path: Path) -> None:
    labelled(images, tmp_path / "out")
    value = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert {(a["keypoints_source"], a["mask_source"]) for a in value["annotations"]} == {("teacher", "teacher")}
