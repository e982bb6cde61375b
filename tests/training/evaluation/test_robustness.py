"""Disturbed images measured: a parser without error has none in any row, and rows are compared fairly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.canvases import CANVASES
from model.raw_prediction import RawPrediction
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from tests.oracles import nobody, oracle
from training.data.datasets.folders import FolderDataset
from training.data.samples import Sample, UInt8, mask_boxes
from training.evaluation.evaluate import evaluate
from training.evaluation.image_metrics import measure
from training.evaluation.metrics.poses import oks
from training.evaluation.perturbations import HFLIP, HFLIP_NO_SWAP, PERTURBATIONS
from training.evaluation.report import robustness_table
from training.evaluation.robustness import ORIGINAL, as_original, measure_robustness, mirror_people
from training.inference.predictions import Prediction
from training.inference.predictors import Parse, Predictor
from training.transforms.augment import swap_left_right

T = DENSEPOSE_COCO
FAST = [CANVASES["fast"]]
EXACT = (ORIGINAL, HFLIP, "downscale_2x", "downscale_4x", "low_light", "jpeg_q30")  # maps come back pixel by pixel
PERFECT = [name for name in PERTURBATIONS if name != HFLIP_NO_SWAP]


def views(samples: Sequence[Sample]) -> list[Sample]:
    """Every image and all that becomes of it."""
    return [*samples, *(PERTURBATIONS[name].apply(sample, T)[0] for sample in samples for name in PERFECT)]


def robustness(parse: Parse, dataset: FolderDataset, names: Sequence[str] = tuple(PERTURBATIONS)) -> dict[str, Any]:
    return measure_robustness(
        Predictor("oracle", "test", T, FAST, parse, "labels"), dataset, range(len(dataset)), names
    )


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [draw_figures(T, people=n, seed=n) for n in (2, 3, 0)]


@pytest.fixture(scope="module")
def dataset(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> FolderDataset:
    return FolderDataset([write_folder(tmp_path_factory.mktemp("data"), samples, T)], T)


@pytest.fixture(scope="module")
def perfect(samples: list[Sample], dataset: FolderDataset) -> dict[str, Any]:
    return robustness(oracle(views(samples), T, FAST), dataset)


@pytest.fixture(scope="module")
def confused(samples: list[Sample], dataset: FolderDataset) -> dict[str, Any]:
    """Of a parser without error, except that it takes left for right in mirrored images."""
    wrong = [swap_left_right(PERTURBATIONS[HFLIP].apply(sample, T)[0], T) for sample in samples]
    return robustness(oracle([*samples, *wrong], T, FAST), dataset, [HFLIP, HFLIP_NO_SWAP])


def test_a_perfect_parser_is_perfect_under_every_perturbation(perfect: dict[str, Any]) -> None:
    rows = perfect["rows"]
    assert list(rows) == [ORIGINAL, *PERTURBATIONS]
    for name in (ORIGINAL, *PERFECT):
        row = rows[name]
        assert [row["keypoints"][key] for key in ("AP", "AP50", "AP75", "AR", "AP_h96", "AP50_h96")] == [1] * 6, name
        assert [row["persons"][key] for key in ("missed", "duplicates", "inversions", "false_positives")] == [0] * 4, (
            name
        )
        assert (row["images"], row["people"], row["masks"]["people"]) == (3, 5, 5), name
        assert (row["persons"]["negative_images"], row["persons"]["true_negative_rate"]) == (1, 1), name
        exact = 1 if name in EXACT else 0.9  # turned maps are sampled three times, nearest
        assert exact <= row["masks"]["mean_IoU"] <= 1, name
        assert (row["parts"]["mIoU"] == 1) == (name in EXACT), name
        assert row["parts"]["mIoU"] > 0.75, name
        assert row["joints_on_parts"]["visible"] == rows[ORIGINAL]["joints_on_parts"]["visible"], name
        assert row["joints_on_parts"]["on_correct_side"] > 0.75, name
        if name != ORIGINAL:
            assert (row["AP_difference"], row["AP_difference_interval"]) == (0, [0, 0]), name


def test_names_that_are_not_exchanged_collapse(perfect: dict[str, Any]) -> None:
    mirrored, control = perfect["rows"][HFLIP], perfect["rows"][HFLIP_NO_SWAP]
    assert control["keypoints"]["AP"] < 0.05
    assert control["AP_difference"] < -0.95
    assert control["persons"]["inversions"] == control["persons"]["matched"] == 5
    assert control["masks"]["mean_IoU"] == 1  # who it is has no sides
    assert control["parts"]["mIoU"] < 0.4
    assert control["joints_on_parts"]["on_correct_part"] == mirrored["joints_on_parts"]["on_correct_part"]
    assert control["joints_on_parts"]["on_correct_side"] < mirrored["joints_on_parts"]["on_correct_side"] - 0.4


def test_a_parser_that_confuses_sides_of_flipped_images_is_detected(confused: dict[str, Any]) -> None:
    rows = confused["rows"]
    assert rows[ORIGINAL]["keypoints"]["AP"] == rows[HFLIP_NO_SWAP]["keypoints"]["AP"] == 1
    assert rows[HFLIP]["keypoints"]["AP"] < 0.05
    assert rows[HFLIP]["persons"]["inversions"] == 5
    assert confused["mirror"]["matched"] == 5
    assert confused["mirror"]["pixel_agreement"] < 0.6
    assert confused["mirror"]["joint_distance"] > 0.03


def test_the_same_pixels_are_parsed_once(dataset: FolderDataset) -> None:
    gt_valid: list[bytes] = []

    def parse(canvas: UInt8) -> RawPrediction:
        gt_valid.append(canvas.tobytes())
        return nobody(canvas, T)

    robustness(parse, dataset, [HFLIP, HFLIP_NO_SWAP, "downscale_2x"])
    assert len(gt_valid) == 3 * len(dataset)


def test_a_perfect_prediction_flips_with_the_image(perfect: dict[str, Any]) -> None:
    mirror = perfect["mirror"]
    assert (mirror["pixel_agreement"], mirror["people"], mirror["matched"]) == (1, 5, 5)
    assert mirror["joint_distance"] == mirror["joint_distance90"] == pytest.approx(0, abs=1e-4)


def test_the_original_row_equals_evaluate(samples: list[Sample], dataset: FolderDataset) -> None:
    parse = oracle(samples, T, FAST)
    report = robustness(parse, dataset, [])
    evaluated = evaluate(parse, dataset, range(3), FAST)
    row = report["rows"].pop(ORIGINAL)
    assert (row.pop("description"), report["rows"], report["mirror"]) == ("as they are", {}, None)
    assert row == {key: value for key, value in evaluated.items() if key not in ("categories", "broken")}


def test_people_are_chosen_by_their_height_in_the_original(tmp_path: Path) -> None:
    """At 70 and 110 pixels tall: at a quarter of the size neither is over 64 or 96, and turned boxes are taller."""
    samples = [
        replace(draw_figures(T, people=2, seed=1, height=share), key=key) for key, share in (("s", 0.3), ("t", 0.48))
    ]
    heights = np.concatenate([sample.boxes[:, 3] - sample.boxes[:, 1] for sample in samples])
    assert (heights > 64).sum() == 4 > (heights > 96).sum() > 0
    dataset = FolderDataset([write_folder(tmp_path, samples, T)], T)
    names = [name for name in PERFECT if name not in EXACT or "downscale" in name]
    report = robustness(oracle(views(samples), T, FAST), dataset, names)
    assert len(report["rows"]) == 5
    for name, row in report["rows"].items():
        assert row["masks"]["people"] == row["persons"]["notable"] == 4, name
        assert row["keypoints"]["AP_h96"] == 1, name


@pytest.mark.parametrize("name", PERFECT)
def test_joints_are_judged_as_in_the_original(name: str) -> None:
    """The same answer, moved with the image, has the same similarity, height and area."""
    sample = draw_figures(T, size=(300, 420), people=3, seed=8, height=0.6)
    rng = np.random.default_rng(0)
    found = sample.keypoints + np.concatenate([rng.normal(0, 6, (3, 17, 2)), np.zeros((3, 17, 1))], axis=-1)
    found = np.where(sample.keypoints[..., 2:] > 0, found, 0).astype(np.float32)
    found[0, 3] = 0  # not found
    view, affine = PERTURBATIONS[name].apply(sample, T)
    moved = found.copy()
    moved[..., :2] = (found[..., :2] + 0.5) @ affine[:, :2].T + affine[:, 2] - 0.5
    moved[found[..., 2] == 0] = 0
    if name == HFLIP:
        moved = moved[:, list(T.joint_flip)]

    def figures(sample: Sample, keypoints: np.ndarray) -> Any:
        score = np.array([0.9, 0.8, 0.7], np.float32)
        people = Prediction(sample.parts, sample.people, keypoints, score, np.ones((3, 14), np.float32))
        return measure(sample, people, T, negative=False)

    original = figures(sample, found)
    back = as_original(figures(view, moved), affine, original).poses
    similarity = oks(original.poses.gt, original.poses.area, original.poses.found, T.joint_sigmas)
    assert 0.2 < np.diag(similarity).min() < 0.95
    np.testing.assert_allclose(oks(back.gt, back.area, back.found, T.joint_sigmas), similarity, atol=0.003)
    np.testing.assert_allclose(back.found_height, original.poses.found_height, atol=1)
    np.testing.assert_allclose(back.found_area, original.poses.found_area, rtol=0.06)
    np.testing.assert_array_equal(back.height, original.poses.height)
    np.testing.assert_array_equal(back.area, original.poses.area)


def test_a_person_without_a_pixel_left_counts_as_not_found(tmp_path: Path) -> None:
    """A mask one pixel wide lies between the pixels of an image at a quarter of the size."""
    sample = draw_figures(T, people=1, seed=3)
    parts, people = sample.parts.copy(), sample.people.copy()
    parts[20:120, 1], people[20:120, 1] = 2, 2
    thin = replace(
        sample,
        parts=parts,
        people=people,
        keypoints=np.concatenate([sample.keypoints, np.zeros((1, 17, 3), np.float32)]),
        joints_labelled=np.ones((2, 17), bool),
        has_mask=np.ones(2, bool),
        pseudo_mask=np.zeros(2, bool),
        boxes=mask_boxes(people, 2) + np.float32([0, 0, 1, 0]),  # what is seen is wider than what is painted
    )
    dataset = FolderDataset([write_folder(tmp_path, [thin], T)], T)
    rows = robustness(oracle(views([thin]), T, FAST), dataset, ["downscale_2x", "downscale_4x"])["rows"]
    assert 2 not in PERTURBATIONS["downscale_4x"].apply(thin, T)[0].people
    assert [row["masks"]["people"] for row in rows.values()] == [2, 2, 2]
    assert rows[ORIGINAL]["masks"]["mean_IoU"] == 1
    assert rows["downscale_4x"]["masks"]["mean_IoU"] == 0.5


def test_a_prediction_mirrored_twice_is_unchanged() -> None:
    sample = draw_figures(T, size=(100, 151), people=2, seed=2)
    sample.keypoints[1, 4] = 0
    scores = np.random.default_rng(0).random((2, 14)).astype(np.float32)
    people = Prediction(sample.parts, sample.people, sample.keypoints, np.ones(2, np.float32), scores)
    once = mirror_people(people, T)
    mirrored = PERTURBATIONS[HFLIP].apply(sample, T)[0]
    np.testing.assert_array_equal(once.part_map, mirrored.parts)
    np.testing.assert_array_equal(once.person_map, mirrored.people)
    np.testing.assert_allclose(once.keypoints, mirrored.keypoints, atol=1e-3)
    left, right = (T.part_names.index(f"{side}_hand") for side in ("left", "right"))
    np.testing.assert_array_equal(once.part_score[:, left], scores[:, right])
    for name in ("part_map", "person_map", "keypoints", "part_score"):
        np.testing.assert_allclose(getattr(mirror_people(once, T), name), getattr(people, name), atol=1e-4)


def test_the_table(perfect: dict[str, Any], dataset: FolderDataset) -> None:
    lines = robustness_table({"parser": "oracle 1", "detail": "fast", **perfect}).splitlines()
    assert lines[0] == "oracle 1, detail fast: 3 images, 5 people, 5 of them with a mask and over 64 px"
    cells = {line.split(" | ")[0]: [cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:13]}
    assert len({len(row) for row in cells.values()}) == 1  # as many cells in the head, the rule and each row
    assert cells["| `original`"][2:6] == ["1.000", "", "1.000", "1.000"]
    assert cells["| `hflip`"][2:4] == ["1.000", "+0.000 [+0.000, +0.000]"]
    assert cells["| `hflip_no_swap`"][-2:] == ["5/5", "1.000"]
    assert "same part on 1.000 of the pixels" in lines[-2]
    assert "5 of 5 people have a partner" in lines[-1]


def test_a_parser_without_predictions_has_a_table(dataset: FolderDataset) -> None:
    report = robustness(lambda canvas: nobody(canvas, T), dataset, [HFLIP])
    assert report["mirror"]["pixel_agreement"] is None
    assert report["rows"][HFLIP]["AP_difference"] == report["rows"][HFLIP]["keypoints"]["AP"] == 0
    assert "same part on - of the pixels" in robustness_table({"parser": "", "detail": "fast", **report})


def test_images_without_labels_have_a_table(samples: list[Sample], tmp_path: Path) -> None:
    dataset = FolderDataset([write_folder(tmp_path, samples[2:], T)], T)
    report = robustness(oracle(views(samples[2:]), T, FAST), dataset, ["jpeg_q30"])
    row = report["rows"]["jpeg_q30"]
    assert (row["AP_difference"], row["AP_difference_interval"]) == (None, [None, None])
    assert "| `jpeg_q30` | JPEG of quality 30 | - |  | - |" in robustness_table(
        {"parser": "", "detail": "fast", **report}
    )


def test_a_broken_image_is_left_out_of_every_row(samples: list[Sample], tmp_path: Path) -> None:
    root = write_folder(tmp_path, samples, T)
    (root / "images" / f"{samples[0].key}.png").write_bytes(b"")
    report = robustness(oracle(views(samples), T, FAST), FolderDataset([root], T), ["jpeg_q30"])
    assert [row["images"] for row in report["rows"].values()] == [2, 2]
    assert [sample["image"] for sample in report["broken"]] == [samples[0].key]
