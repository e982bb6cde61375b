"""Every runtime of this machine against the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.agreement import compare, summary
from model.manifest import GRAPH, PARITY, read_bundle
from model.raw_prediction import RawPrediction
from service.cli import main
from service.commands.parity import TILE, crowd
from service.parsing.parity import read_parity
from tests.bundles import figure_bundle

PERSON = np.array([[10, 10, 0.9], [10, 50, 0.9], [30, 30, 0.9], [0, 0, 0]], np.float32)

METRICS = {
    "parser": "figures 1", "kind": "bundle", "runtime": "openvino bf16", "detail": "fast", "images": 12, "people": 20,
    "command": "python -m training evaluate", "keypoints": {"AP": 0.25, "AP_interval": [0.2, 0.3], "AP50": 0.5},
    "masks": {"mean_IoU": 0.5}, "parts": {"mIoU": None},
}  # fmt: skip


def people(*shifts: int) -> RawPrediction:
    """Of the same pose at several places, each on 20 x 20 pixels of part 1."""
    keypoints, scores = np.zeros((4, 4, 3), np.float32), np.zeros(4, np.float32)
    person_map = np.zeros((64, 512), np.uint8)
    for slot, shift in enumerate(shifts):
        keypoints[slot], scores[slot] = PERSON + [shift, 0, 0] * (PERSON[:, 2:] > 0), 0.9
        person_map[20:40, shift : shift + 20] = slot + 1
    return RawPrediction((person_map > 0).astype(np.uint8), person_map, keypoints, scores, np.zeros((4, 1)), 0)


def test_people_in_another_order_are_the_same() -> None:
    found = compare(people(0, 100, 200), people(200, 0, 100))
    assert (found.matched, found.missed, found.extra, found.of_one_alone) == (3, 0, 0, 0)
    assert found.pixels == found.same_part == found.same_person == 1200
    assert found.distances.max() == 0
    assert len(found.distances) == 9


def test_what_differs_is_counted() -> None:
    other = people(100, 0, 300)
    other.keypoints[0, 0, :2] += (3, 4)
    other.keypoints[1, 2] = 0
    other.part_map[20:22, 0:20] = 2
    found = compare(people(0, 100, 200), other)
    assert (found.matched, found.missed, found.extra, found.of_one_alone) == (2, 1, 1, 1)
    assert sorted(found.distances) == [0, 0, 0, 0, 5]
    assert (found.pixels, found.same_part, found.same_person) == (1600, 760, 800)
    both = summary([found, compare(people(0), people(0))])
    assert (both["same_part"], both["same_person"]) == (0.58, 0.6)
    assert both["people"] == {"matched": 3, "missed": 1, "extra": 1}
    assert (both["keypoints"]["mean_px"], both["keypoints"]["of_both"]) == (0.625, 8)


def test_nobody_in_either_has_no_share() -> None:
    nothing = summary([compare(people(), people())])
    assert (nothing["same_part"], nothing["keypoints"]["p99_px"]) == (None, None)


def test_tiles_of_a_crowd_take_turns_and_every_other_is_mirrored() -> None:
    first, second = Image.new("RGB", TILE, "red"), Image.new("RGB", TILE)
    second.paste("blue", (0, 0, TILE[0] // 2, TILE[1]))
    sheet = np.asarray(crowd([first, second], 2))
    assert sheet.shape == (2 * TILE[1], 2 * TILE[0], 3)
    colors = [tuple(sheet[0, x]) for x in (1, TILE[0] + 1, 2 * TILE[0] - 1)]
    assert colors == [(255, 0, 0), (0, 0, 0), (0, 0, 255)]


@pytest.mark.usefixtures("environment")
def test_the_command_writes_a_report_into_the_bundle(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle, image = figure_bundle(tmp_path / "bundle"), tmp_path / "image.png"
    image.write_bytes(png)
    measured = tmp_path / "metrics.json"
    measured.write_text(json.dumps(METRICS))
    command = ["parity", str(image), "--bundle", str(bundle), "--detail", "fast", "--accuracy", str(measured)]
    assert main(command) == 0
    manifest = read_bundle(bundle)
    report = json.loads((bundle / PARITY).read_text())
    assert report == read_parity(bundle, manifest)
    assert (report["reference"], report["details"]) == ("onnxruntime f32", ["fast"])
    assert report["inputs"] == {"photos": 1, "crowds": 3, "adversarial": 11}
    assert "is not installed" in report["absent"]["tensorrt fp16"]
    images = report["runtimes"]["openvino f32"]["photos"]
    assert images["people"] == {"matched": 2, "missed": 0, "extra": 0}
    assert images["keypoints"]["of_both"] == 4
    assert images["same_person"] == 1
    shown = capsys.readouterr().out
    assert shown == (bundle / "parity.md").read_text()
    assert "| openvino f32 | 1 photos | 100.00% | 100.00% | 2 | 0 | 0 |" in shown
    assert "| openvino bf16 | fast | 12 | 0.250 | 0.500 | - |" in shown
    assert report["accuracy"][0]["keypoints"] == {"AP": 0.25, "AP_interval": [0.2, 0.3]}
    for text, message in (("{}", "is not from"), (json.dumps(METRICS | {"parser": "other 1"}), "is of other 1")):
        measured.write_text(text)
        assert main(command) == 2
        assert message in capsys.readouterr().err

    manifest.sha256[GRAPH] = "another"
    assert read_parity(bundle, manifest) is None


@pytest.mark.usefixtures("environment")
def test_what_is_no_image_is_refused_by_name(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    assert main(["parity", str(tmp_path / "a.png"), "--bundle", str(bundle)]) == 2
    assert "a.png" in capsys.readouterr().err
