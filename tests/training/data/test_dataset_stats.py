"""Counts of a data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.data.dataset_stats import DatasetStats, license_table
from training.data.datasets.folders import FolderDataset

T = DENSEPOSE_COCO


def test_images_are_added_up() -> None:
    stats = DatasetStats(T)
    first, second = draw_figures(T, (100, 100), people=3, seed=1), draw_figures(T, (100, 100), people=2, seed=2)
    first.keypoints[0, 0] = 0
    first.joints_labelled[0, 0] = False
    second.keypoints[:, 0] = (50, 50, 1), (50, 50, 2)
    second.parts[:25], second.people[:10] = 255, 255
    stats.add(first)
    stats.add(replace(second, has_mask=np.array([True, False])))
    stats.add(draw_figures(T, (100, 100), people=0))
    assert (stats.images, stats.empty, stats.people, stats.masks) == (3, 1, 5, 4)
    first_nose = int((first.keypoints[:, 0, 2] == 2).sum())
    assert (stats.visible[0], stats.unlabelled[0]) == (first_nose + 1, 1)
    assert stats.occluded[0] == 2 - first_nose + 1
    assert stats.pixels.sum() == 30_000
    assert stats.pixels[1] == (first.parts == 1).sum() + (second.parts == 1).sum()
    table = stats.table()
    assert "5, 4 with a mask; 1 images show nobody" in table
    assert "8.33% of pixels have no known part, 3.33% no known person" in table
    assert f"torso{stats.pixels[1]:>35,}" in table


def test_crowds_are_compared_with_the_decoders_limits() -> None:
    """1 to 40 people; in the image of 40 one kind of joint is labelled alone, in that of 25 two people have none."""
    stats = DatasetStats(T)
    sample = draw_figures(T, (32, 32), people=1)
    for count in range(1, 41):
        keypoints = np.zeros((count, len(T.joint_names), 3), np.float32)
        keypoints[:, :2, 2] = 1, 2
        if count == 40:
            keypoints[:, 0, 2] = 0
        if count == 25:
            keypoints[:2] = 0
        crowd = replace(
            sample,
            keypoints=keypoints,
            joints_labelled=np.ones(keypoints.shape[:2], bool),
            has_mask=np.zeros(count, bool),
            pseudo_mask=np.zeros(count, bool),
            boxes=np.zeros((count, 4), np.float32),
        )
        stats.add(crowd)
    stats.add(draw_figures(T, (32, 32), people=0))
    rows = {line[:26].rstrip(): line[26:].split() for line in stats.table().splitlines()}
    assert rows["people"] == ["20", "36", "40", "40"]
    assert rows["joints of the same kind"] == ["20", "36", "40", "40"]
    total = 40 * 41 / 2
    for name, images, excess in (
        ("20 joints of a kind", 20, sum(range(1, 21)) - 2),
        ("32 joints of a kind", 8, sum(range(1, 9))),
        ("32 people", 8, sum(range(1, 9))),
    ):
        shares = [f"{images / 40:.2%},", f"{excess / total:.2%}", "of", "people"]
        assert rows[f"beyond {name}"] == [str(images), "images,", *shares]


def test_statistics_without_people_have_no_limits() -> None:
    stats = DatasetStats(T)
    stats.add(draw_figures(T, (32, 32), people=0))
    assert "beyond" not in stats.table()


def test_images_are_counted_by_license_without_reading_them(tmp_path: Path) -> None:
    samples = [draw_figures(T, (32, 32), people=1, seed=seed) for seed in range(4)]
    fields = [{"license_id": 4}, {}, {"license_id": 4, "split": "val"}, {"license": "CC0-1.0"}]
    write_folder(tmp_path, samples, T, fields=fields)
    for path in tmp_path.glob("images/*"):
        path.unlink()
    rows = [line.split() for line in license_table(FolderDataset([tmp_path], T)).splitlines()]
    assert rows == [
        ["license", "images", "to", "train", "on", "held", "out"],
        ["by", "2", "1", "1"],
        ["unknown", "1", "1", "0"],
        ["cc0", "1", "1", "0"],
    ]
