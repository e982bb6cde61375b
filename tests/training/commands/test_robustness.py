"""`python -m training robustness` with a bundle that parses by color, so that darkness is all that it cannot bear."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import PASCAL_PERSON_PART
from tests.bundles import figure_bundle, figure_image
from tests.figures import write_folder
from training.__main__ import main
from training.data.samples import Sample, mask_boxes
from training.evaluation.perturbations import PERTURBATIONS

T = PASCAL_PERSON_PART
SIZE = (128, 192)
NAMES = ["hflip", "downscale_2x", "low_light"]


def rectangles(key: str, *boxes: tuple[int, int, int, int]) -> Sample:
    """Rectangles, of person 1 in part 2 and person 2 in part 4, with what the bundle says of them as labels."""
    parts, people = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    keypoints = np.zeros((len(boxes), len(T.joint_names), 3), np.float32)
    for row, (x1, y1, x2, y2) in enumerate(boxes):
        parts[y1:y2, x1:x2], people[y1:y2, x1:x2] = 2 + 2 * row, row + 1
        keypoints[row, 0] = (x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2, 2
        keypoints[row, 1] = keypoints[row, 0] + (0, 40, 0)  # 20 pixels of a canvas half as large
    return Sample(
        image=figure_image(SIZE, *((row + 1, 2 + 2 * row, box) for row, box in enumerate(boxes))),
        parts=parts,
        people=people,
        keypoints=keypoints,
        joints_labelled=keypoints[..., 2] > 0,
        has_mask=np.ones(len(boxes), bool),
        pseudo_mask=np.zeros(len(boxes), bool),
        boxes=mask_boxes(people, len(boxes)),
        key=key,
        source="figures",
    )


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return figure_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    boxes = (10, 16, 60, 112), (90, 8, 150, 110)
    return write_folder(
        tmp_path / "rectangles", [rectangles("one", boxes[0]), rectangles("two", *boxes), rectangles("none")], T
    )


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status and what was printed, without the progress bar."""
    status = main(["robustness", *map(str, arguments), "--all"])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_table_and_its_json(bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "metrics.json"
    status, printed, _ = run(capsys, bundle, data, "--json", out, "--only", *NAMES)
    assert status == 0
    report = json.loads(out.read_text())
    assert report["command"] == (
        f"python -m training robustness {bundle.name} rectangles --detail fast --all"
        " --only hflip downscale_2x low_light"
    )
    assert (report["parser"], report["kind"], report["taxonomy"]) == ("figures 1", "bundle", "pascal_person_part")
    assert {name: row["keypoints"]["AP"] for name, row in report["rows"].items()} == {
        "original": 1, "hflip": 1, "downscale_2x": 1, "low_light": 0,
    }  # fmt: skip
    assert report["rows"]["low_light"]["AP_difference"] == -1
    assert {row["persons"]["true_negative_rate"] for row in report["rows"].values()} == {1}
    assert report["mirror"]["pixel_agreement"] > 0.95
    assert report["broken"] == []
    rows = [line.split(" | ") for line in printed.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == ["| `original`", "| `hflip`", "| `downscale_2x`", "| `low_light`"]
    assert rows[3][1:4] == [PERTURBATIONS["low_light"].description, "0.000", "-1.000 [-1.000, -1.000]"]


def test_a_grid_of_images_with_people_is_written(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, bundle, data, "--vis-dir", tmp_path, "--only", *NAMES, "hflip_no_swap")[0] == 0
    sheet = np.asarray(Image.open(tmp_path / "perturbations.jpg")).astype(int)
    cell, gap, caption = (240, 320), 2, 18
    assert sheet.shape == (2 * (cell[0] + caption) + gap, 4 * cell[1] + 3 * gap, 3)  # two images, one look of a mirror
    first, mirrored, half, dark = (sheet[: cell[0], i * (cell[1] + gap) :][:, : cell[1]] for i in range(4))
    assert np.abs(first - half).mean() < 6
    assert np.abs(first - mirrored).mean() > 20
    assert np.abs(first - mirrored[:, ::-1]).mean() < 6
    assert dark.mean() < first.mean()


def test_a_broken_image_is_named(bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = data / "images" / "two.png"
    broken.write_bytes(broken.read_bytes()[:100])
    status, printed, errors = run(capsys, bundle, data, "--only", "jpeg_q30")
    assert status == 0
    assert "2 images, 1 people" in printed
    assert "1 images could not be read" in errors


def test_invalid_arguments_are_refused_with_a_reason(
    bundle: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments, message in (
        (["--only", "jpeg_q30", "upside_down"], "--only upside_down: no such perturbation; choose of hflip"),
        (["--limit", "0"], "--limit 0"),
    ):
        status, printed, errors = run(capsys, bundle, data, *arguments)
        assert (status, printed) == (2, "")
        assert message in errors
