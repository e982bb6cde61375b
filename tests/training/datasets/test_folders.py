"""Reading the folders' format, and the split."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO, MHP_V2
from tests.figures import draw_figures, write_folder
from training.datasets.folders import FolderDataset
from training.samples import DatasetError

T = DENSEPOSE_COCO


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / "annotations.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    samples = [draw_figures(T, people=n, seed=n) for n in (2, 0, 1)]
    write_folder(tmp_path / "a", samples[:2], T)
    write_folder(tmp_path / "b", samples[2:], T)
    dataset = FolderDataset([tmp_path / "a", tmp_path / "b"], T)
    assert [photo.person_count for photo in dataset.photos] == [2, 0, 1]
    for i, expected in enumerate(samples):
        sample = dataset.load(i)
        for name in ("image", "parts", "people", "has_mask"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name))
        np.testing.assert_allclose(sample.keypoints, expected.keypoints, rtol=1e-6)
        np.testing.assert_allclose(sample.boxes, expected.boxes, rtol=1e-6)
        assert (sample.key, sample.source) == (expected.key, "coco-sports")


def test_an_avif_photo_is_read(tmp_path: Path) -> None:
    sample = draw_figures(T)
    write_folder(tmp_path, [sample], T)
    Image.fromarray(sample.image).save(tmp_path / "images/photo.avif", quality=90)
    edit(tmp_path, lambda v: v["images"][0].update(file_name="images/photo.avif"))
    image = FolderDataset([tmp_path], T).load(0).image
    assert np.abs(image.astype(int) - sample.image).mean() < 8


def test_an_absent_joint_is_unlabelled_in_photos_and_known_in_rendered_frames(tmp_path: Path) -> None:
    sample = draw_figures(T, people=1)
    sample.keypoints[0, 3] = 0
    for source, known in (("coco-sports", False), ("synthetic", True)):
        write_folder(tmp_path / source, [sample], T, source)
        labelled = FolderDataset([tmp_path / source], T).load(0).joints_labelled
        assert labelled[0, 3] == known
        assert labelled[0, 0]


def test_people_are_sorted_by_their_index(tmp_path: Path) -> None:
    sample = draw_figures(T, people=3)
    write_folder(tmp_path, [sample], T)
    edit(tmp_path, lambda v: v["annotations"].reverse())
    np.testing.assert_allclose(FolderDataset([tmp_path], T).load(0).keypoints, sample.keypoints, rtol=1e-6)


def damage_photo(root: Path) -> None:
    path = next((root / "images").iterdir())
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: next((root / "parts").iterdir()).unlink(), r"parts.figures_0_3.png is missing: unpack"),
        (damage_photo, r"images.figures_0_3.png cannot be decoded"),
        (lambda root: Image.new("L", (5, 5)).save(root / "people/figures_0_3.png"), "must have one size"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write_folder(tmp_path, [draw_figures(T)], T)
    dataset = FolderDataset([tmp_path], T)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        dataset.load(0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "annotations.json").unlink(), "annotations.json is missing"),
        (lambda root: (root / "annotations.json").write_text("{"), "annotations.json is damaged"),
        (lambda root: edit(root, lambda v: v["images"][0].pop("key")), "annotations.json is damaged.*key"),
        (lambda root: edit(root, lambda v: v["annotations"].pop(0)), "not numbered 1..n"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write_folder(tmp_path, [draw_figures(T)], T)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        FolderDataset([tmp_path], T)


def test_another_taxonomy_is_refused(tmp_path: Path) -> None:
    write_folder(tmp_path, [draw_figures(MHP_V2)], MHP_V2)
    with pytest.raises(DatasetError, match="other parts or joints than densepose_coco"):
        FolderDataset([tmp_path], T)


def test_split_holds_out_the_smallest_hashes_and_all_that_shares_them(tmp_path: Path) -> None:
    groups = [replace(draw_figures(T, (32, 32), 2, seed=i), key=f"group{i}") for i in range(8)]
    alone = [replace(draw_figures(T, (32, 32), 1, seed=i), key=f"alone{i}") for i in range(3)]
    animals = [replace(draw_figures(T, (32, 32), 0, seed=i), key=f"animal{i}") for i in range(5)]
    write_folder(tmp_path / "real", [*groups, *alone, *animals], T)  # original ids 0..15
    edit(tmp_path / "real", lambda v: v["annotations"][0].update(keypoints_source="teacher"))  # of group0

    def rank(original_id: int) -> str:
        return hashlib.sha256(str(original_id).encode()).hexdigest()

    expected = sorted(range(1, 8), key=rank)[:3] + sorted(range(11, 16), key=rank)[:2]
    photos = [replace(draw_figures(T, (32, 32), 2, seed=i), key=f"syn{i}") for i in range(2)]
    write_folder(tmp_path / "synthetic", photos, T, "synthetic")

    def behind(value: dict[str, Any]) -> None:
        for image, background in zip(value["images"], (str(expected[-1]), "elsewhere.jpg"), strict=True):
            image.update(original_id=image["key"], background=background)

    edit(tmp_path / "synthetic", behind)
    dataset = FolderDataset([tmp_path / "real", tmp_path / "synthetic"], T)
    training, validation = dataset.split(people=3, negatives=2)
    assert validation == sorted(expected)
    # 16 is the frame in front of a held-out photo, 17 the other one.
    assert training == [i for i in range(18) if i not in expected and i != 16]
