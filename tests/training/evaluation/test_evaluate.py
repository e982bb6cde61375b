"""Evaluation of drawn people: a parser that returns the labels, one that finds nobody, and random weights."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.canvases import CANVASES
from model.checkpoint import save_checkpoint
from model.config import DecoderConfig, ModelConfig
from model.errors import InputError
from model.letterbox import letterbox_geometry
from model.network import Network
from model.raw_prediction import RawPrediction
from model.taxonomy import DENSEPOSE_COCO
from tests import oracles
from tests.bundles import figure_bundle, figure_image
from tests.figures import draw_figures, write_folder
from training.__main__ import main
from training.data.datasets.folders import FolderDataset
from training.data.samples import Sample, UInt8
from training.data.unlabeled_images import unlabelled
from training.evaluation.evaluate import evaluate
from training.evaluation.image_metrics import compute_metrics, measure
from training.evaluation.report import table
from training.inference.predictions import parse_image, to_image
from training.inference.predictors import Parse, open_predictor
from training.transforms.augment import letterbox

T = DENSEPOSE_COCO
FAST = [CANVASES["fast"]]


def nobody(canvas: UInt8) -> RawPrediction:
    """A parser that finds nobody."""
    return oracles.nobody(canvas, T)


def oracle(samples: list[Sample]) -> Parse:
    """A parser that answers with the labels of these images."""
    return oracles.oracle(samples, T, FAST)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [draw_figures(T, people=n, seed=n) for n in (2, 3, 1, 0)]


@pytest.fixture(scope="module")
def dataset(samples: list[Sample], tmp_path_factory: pytest.TempPathFactory) -> FolderDataset:
    root = write_folder(tmp_path_factory.mktemp("data"), samples, T)
    return FolderDataset([root], T)


def test_labels_themselves_are_perfect(samples: list[Sample], dataset: FolderDataset) -> None:
    report = evaluate(oracle(samples), dataset, range(4), FAST)
    assert (report["images"], report["people"]) == (4, 6)
    keypoints, masks, parts = report["keypoints"], report["masks"], report["parts"]
    for name in ("AP", "AP50", "AP75", "AR", "AP_h96", "AP50_h96"):
        assert keypoints[name] == 1
    assert keypoints["AP_interval"] == [1, 1]
    assert (masks["people"], masks["mean_IoU"], masks["recall50"], masks["AP50"]) == (6, 1, 1, 1)
    assert [masks[name] for name in ("AP", "AP75", "boundary_F")] == [1] * 3
    assert [parts[name] for name in ("mIoU", "APp50", "APpvol", "PCP50", "boundary_F")] == [1] * 5
    for definition in ("de_facto", "one_to_one"):
        assert parts["APr"][definition] == {"APr50": 1, "APr60": 1, "APr70": 1, "APrvol": 1}
    assert {value for row in report["categories"]["parts"].values() for value in row.values()} == {1}
    assert {row["recall"] for row in report["categories"]["joints"].values()} == {1}
    assert report["broken"] == []
    assert set(parts["IoU"].values()) == {1}
    joints = report["joints_on_parts"]
    assert joints["on_any_part"] == 1
    assert 0.8 < joints["on_correct_side"] <= joints["on_correct_part"] <= 1  # an arm before the hip hides it
    assert report["persons"] == {
        "notable": 6, "missed": 0, "labelled": 6, "duplicates": 0, "matched": 6, "inversions": 0, "false_positives": 0,
        "negative_images": 1, "true_negative_rate": 1, "negative_false_positives": 0,
    }  # fmt: skip


def test_a_parser_without_predictions_scores_zero(dataset: FolderDataset) -> None:
    report = evaluate(nobody, dataset, range(4), FAST)
    assert report["keypoints"]["AP"] == 0
    assert report["masks"]["mean_IoU"] == report["masks"]["AP50"] == 0
    assert report["parts"]["APpvol"] == report["parts"]["PCP50"] == report["parts"]["IoU"]["head"] == 0
    assert report["joints_on_parts"]["on_any_part"] == 0
    assert report["persons"]["missed"] == report["persons"]["notable"] == 6
    assert report["persons"]["true_negative_rate"] == 1


def test_person_free_images_leave_other_metrics_undefined(samples: list[Sample], dataset: FolderDataset) -> None:
    people = oracle(samples)(letterbox(samples[0], (256, 256))[0].image)
    report = evaluate(lambda canvas: people, dataset, [3], FAST)
    assert report["persons"]["true_negative_rate"] == 0
    assert report["persons"]["negative_false_positives"] == report["persons"]["false_positives"] == 2
    assert report["keypoints"]["AP"] is None
    assert report["masks"]["mean_IoU"] is None
    assert report["parts"]["APp50"] is None
    json.dumps(report, allow_nan=False)
    assert "AP -" in table(report)


def test_a_letterboxed_image_comes_back_to_its_pixels(tmp_path: Path) -> None:
    samples = [draw_figures(T, size=size, people=2, seed=5) for size in ((480, 640), (500, 333))]
    dataset = FolderDataset([write_folder(tmp_path, [replace(s, key=str(i)) for i, s in enumerate(samples)], T)], T)
    report = evaluate(oracle(samples), dataset, [0, 1], FAST)
    assert report["keypoints"]["AP"] == 1
    assert report["masks"]["mean_IoU"] > 0.93
    assert report["parts"]["mIoU"] > 0.85
    assert report["persons"]["inversions"] == 0


def test_points_and_pixels_of_an_image() -> None:
    canvas = nobody(np.zeros((256, 256, 3), np.uint8))
    canvas.part_map[:, :] = np.arange(256)
    canvas.person_score[:2] = 0.9, 0.8
    canvas.keypoints[0, 0] = 8.5, 64.5, 0.7  # the corner where canvas pixels 8, 9 and 64, 65 meet
    canvas.keypoints[1, 0] = 0, 0, 0.6  # in the bar above
    people = to_image(canvas, letterbox_geometry((64, 128), (256, 256)), (64, 128))
    assert people.part_map.shape == (64, 128)
    np.testing.assert_array_equal(people.part_map[0], np.arange(128) * 2 + 1)
    np.testing.assert_allclose(people.keypoints[0, 0], [4.0, 0.0, 0.7], atol=1e-6)
    np.testing.assert_allclose(people.keypoints[1, 0], [0, 0, 0.6])
    assert (people.keypoints[:, 1:] == 0).all()
    assert len(people.score) == 2


def test_people_on_unknown_pixels_are_no_false_people(tmp_path: Path) -> None:
    whole = draw_figures(T, people=3, seed=3)
    hidden = whole.people == 3
    keep = np.arange(3) < 2
    known = replace(
        whole,
        people=np.where(hidden, 255, whole.people).astype(np.uint8),
        parts=np.where(hidden, 255, whole.parts).astype(np.uint8),
        keypoints=whole.keypoints[keep],
        joints_labelled=whole.joints_labelled[keep],
        has_mask=whole.has_mask[keep],
        pseudo_mask=whole.pseudo_mask[keep],
        boxes=whole.boxes[keep],
    )
    dataset = FolderDataset([write_folder(tmp_path, [known], T)], T)
    report = evaluate(oracle([whole]), dataset, [0], FAST)
    assert report["people"] == 2
    assert report["keypoints"]["AP"] == report["masks"]["AP50"] == report["parts"]["APp50"] == 1
    assert report["persons"]["false_positives"] == 0


def test_a_person_without_labelled_joints_is_neither_found_nor_false(tmp_path: Path) -> None:
    whole = draw_figures(T, people=2, seed=4)
    labelled = whole.keypoints.copy()
    labelled[1] = 0
    dataset = FolderDataset([write_folder(tmp_path, [replace(whole, keypoints=labelled)], T)], T)
    report = evaluate(oracle([whole]), dataset, [0], FAST)
    assert report["keypoints"]["AP"] == 1
    assert (report["persons"]["labelled"], report["persons"]["false_positives"]) == (1, 0)


def test_only_tall_people_count_for_the_mean_mask(tmp_path: Path) -> None:
    small = draw_figures(T, people=2, seed=6, height=0.2)
    dataset = FolderDataset([write_folder(tmp_path, [small], T)], T)
    masks = evaluate(oracle([small]), dataset, [0], FAST)["masks"]
    assert (masks["people"], masks["mean_IoU"], masks["AP50"]) == (0, None, 1)


def test_the_area_of_a_person_without_mask_is_a_share_of_the_box() -> None:
    sample = draw_figures(T, people=2, seed=7)
    people = to_image(nobody(sample.image), letterbox_geometry(sample.size, sample.size), sample.size)
    unknown = np.where(sample.people == 2, 255, sample.people).astype(np.uint8)
    maskless = replace(sample, people=unknown, has_mask=np.array([True, False]))
    x0, y0, x1, y1 = sample.boxes[1].tolist()
    expected = [(sample.people == 1).sum(), 0.53 * (x1 - x0) * (y1 - y0)]
    np.testing.assert_allclose(measure(maskless, people, T, negative=False).poses.area, expected)


@pytest.mark.parametrize(
    ("sources", "quality"),
    [
        (["synthetic"], "exact"),
        (["mhp_v2"], "as annotated"),
        (["own"], "as annotated"),
        (["coco-sports"], "not known to be exact"),
        (["synthetic", "mhp_v2"], "as annotated"),
        (["mhp_v2", "coco-sports"], "not known to be exact"),
    ],
)
def test_label_quality_follows_the_sources(samples: list[Sample], sources: list[str], quality: str) -> None:
    people = to_image(nobody(samples[0].image), letterbox_geometry((256, 256), (256, 256)), (256, 256))
    figures = [measure(replace(samples[0], source=source), people, T, negative=False) for source in sources]
    figures.append(measure(replace(samples[3], source="animals"), people, T, negative=True))  # nobody's parts
    assert compute_metrics(figures, T)["parts"]["labels"].startswith(quality)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    config = ModelConfig(backbone="resnet18", hidden_dim=8)
    path = tmp_path_factory.mktemp("run") / "random.ckpt"
    # Thresholds at which random maps have people, so that their way to the image is run too.
    decoder = DecoderConfig(
        max_candidates=3, max_people=4, keypoint_threshold=0.0, person_threshold=1e-6, matcher="greedy"
    )
    save_checkpoint(path, Network(config).state_dict(), config, decoder)
    return path


def test_a_checkpoint_is_evaluated_and_written(checkpoint: Path, samples: list[Sample], tmp_path: Path) -> None:
    write_folder(tmp_path / "frames", samples, T, "synthetic")
    out, pictures = tmp_path / "metrics.json", tmp_path / "pictures"
    arguments = ["--all", "--limit", "2", "--json", str(out), "--vis-dir", str(pictures), "--vis-all"]
    assert main(["evaluate", str(checkpoint), str(tmp_path / "frames"), *arguments]) == 0
    report = json.loads(out.read_text())
    assert report["command"] == "python -m training evaluate random.ckpt frames --detail fast --limit 2 --all"
    assert (report["kind"], report["parser"], report["images"], report["people"]) == ("checkpoint", "random.ckpt", 2, 2)
    assert report["parts"]["labels"] == "exact"
    assert {path.stem for path in pictures.iterdir()} == {samples[0].key, samples[3].key, "worst", "best"}


def test_a_checkpoint_predicts_as_its_module(checkpoint: Path, samples: list[Sample]) -> None:
    predictor = open_predictor(checkpoint, "fast")
    assert predictor.taxonomy is T
    people = parse_image(predictor.parse, samples[0], predictor.scales)
    assert 0 < len(people.score) <= 4
    assert people.part_map.shape == samples[0].size
    assert set(np.unique(people.person_map)) <= set(range(len(people.score) + 1))


def test_a_bundle_predicts_with_its_graph(tmp_path: Path) -> None:
    predictor = open_predictor(figure_bundle(tmp_path / "bundle"), "fast")
    assert (predictor.kind, predictor.taxonomy.name) == ("bundle", "pascal_person_part")
    assert predictor.scales == [((64, 96), (96, 64))]
    people = predictor.parse(figure_image((64, 96), (1, 3, (10, 8, 30, 50))))
    assert (people.part_map[8:50, 10:30] == 3).all()
    assert (people.part_map > 0).sum() == 42 * 20
    assert people.person_score[0] > 0
    assert people.person_score[1] == 0


def test_a_bundle_predicts_on_other_runtimes(tmp_path: Path, checkpoint: Path) -> None:
    bundle, image = figure_bundle(tmp_path / "bundle"), figure_image((64, 96), (1, 3, (10, 8, 30, 50)))
    expected = open_predictor(bundle, "fast")
    found = open_predictor(bundle, "fast", runtime="openvino-f32")
    assert (expected.runtime, found.runtime) == ("onnxruntime f32", "openvino f32")
    assert np.array_equal(found.parse(image).part_map, expected.parse(image).part_map)
    with pytest.raises(InputError, match="has no network in int8: run python -m export int8"):
        open_predictor(bundle, "fast", runtime="openvino-int8")
    with pytest.raises(InputError, match="is for a bundle"):
        open_predictor(checkpoint, "fast", runtime="openvino-f32")


def test_a_united_level_has_the_large_of_one_canvas_and_the_small_of_the_other(tmp_path: Path) -> None:
    bundle = figure_bundle(tmp_path / "bundle", scales={"finest": ("fast", "high")})
    predictor = open_predictor(bundle, "finest")
    assert predictor.scales == [((64, 96), (96, 64)), ((256, 384), (384, 256))]
    image = figure_image((256, 384), (1, 3, (20, 8, 120, 250)), (2, 2, (200, 100, 260, 180)))
    people = parse_image(predictor.parse, unlabelled(image, "image", predictor.taxonomy), predictor.scales)
    assert [int(person) for person in np.unique(people.person_map)] == [0, 1, 2]
    for part, region in ((3, np.s_[8:250, 20:120]), (2, np.s_[100:180, 200:260])):
        assert (people.part_map[region] == part).mean() > 0.95


def test_validation_images_are_the_held_out_ones(checkpoint: Path, samples: list[Sample], tmp_path: Path) -> None:
    root = write_folder(tmp_path / "images", samples, T)
    annotations = json.loads((root / "annotations.json").read_text())
    for image, split in zip(annotations["images"], ("val", "val", "train", "val"), strict=True):
        image["split"] = split
    (root / "annotations.json").write_text(json.dumps(annotations))
    out = tmp_path / "metrics.json"
    assert main(["evaluate", str(checkpoint), str(tmp_path / "images"), "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    assert report["images"] == 3  # those of two and three people and the empty one
    assert report["persons"]["negative_images"] == 1


def test_invalid_arguments_are_refused_with_a_reason(
    checkpoint: Path, samples: list[Sample], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_folder(tmp_path / "frames", samples, T, "synthetic")
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, message in (
        ([str(checkpoint), str(root)], "--all"),  # rendered frames only: nothing is held out
        ([str(checkpoint), str(root), "--all", "--limit", "0"], "--limit"),
        ([str(checkpoint), str(tmp_path / "none")], "is no folder"),
        ([str(empty), str(root)], "is not a bundle"),
        ([str(tmp_path / "none.ckpt"), str(root)], "cannot read checkpoint"),
    ):
        assert main(["evaluate", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_a_level_that_a_bundle_lacks(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fast, standard, high, finest"):
        open_predictor(figure_bundle(tmp_path / "bundle"), "closest")
