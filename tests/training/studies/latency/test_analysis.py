"""Runtime analysis: the crowds it makes, the halves it times, and the shape of what it writes. Never how long."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from model.canvases import CANVASES
from model.checkpoint import save_checkpoint
from model.config import DecoderConfig, ModelConfig
from model.cpu import cpu_name
from model.maps import HeadMaps
from model.network import Network
from model.raw_prediction import RawPrediction
from model.taxonomy import DENSEPOSE_COCO
from service.settings import DEFAULT_BUNDLE
from tests.bundles import figure_bundle
from tests.figures import draw_figures
from training.__main__ import main
from training.commands.benchmark_latency import table
from training.data.samples import Sample
from training.studies.latency.analysis import CROP, TOP_DOWN_EVERY, label_maps, quartiles, ratio
from training.studies.latency.machine import machine
from training.studies.latency.stages import OpenVinoStages, Stages, TorchStages
from training.studies.latency.synthetic_scenes import GREY, SIZE, crops, cut_person, tile_person
from training.transforms.augment import letterbox

T = DENSEPOSE_COCO
BUNDLE = DEFAULT_BUNDLE
UNSURE = DecoderConfig(keypoint_threshold=1e-4, person_threshold=0.0)  # finds people in noise
SERIES = ["whole", "network", "decoder", "decoder_on_labels", "top_down"]


@pytest.fixture(scope="module")
def person() -> Sample:
    """One figure, 200 x 150."""
    return draw_figures(T, size=(200, 150), people=1, seed=1, height=0.85)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = ModelConfig(taxonomy=T.name, backbone="resnet18", hidden_dim=16)
    path = tmp_path_factory.mktemp("run") / "last.ckpt"
    save_checkpoint(path, Network(model).state_dict(), model, UNSURE)
    return path


@pytest.fixture(scope="module")
def bundle() -> OpenVinoStages:
    return OpenVinoStages(BUNDLE)


@pytest.mark.parametrize("count", [1, 2, 5, 30])
def test_a_scene_has_count_complete_people(person: Sample, count: int) -> None:
    scene = tile_person(person, count)
    assert scene.size == SIZE
    assert len(scene.keypoints) == len(scene.boxes) == count
    assert set(np.unique(scene.people)) == set(range(count + 1))
    pixels = np.bincount(scene.people.ravel())[1:]
    assert pixels.min() == pixels.max()
    np.testing.assert_array_equal(scene.people > 0, scene.parts > 0)
    sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).round()
    assert len(np.unique(sides, axis=0)) == 1
    scale = sides[0, 1] / (person.boxes[0, 3] - person.boxes[0, 1])
    assert sides[0, 0] == pytest.approx(scale * (person.boxes[0, 2] - person.boxes[0, 0]), abs=3)
    for row, joints in enumerate(scene.keypoints):  # as many seen joints as the person, inside its own box
        seen = joints[joints[:, 2] > 0]
        assert len(seen) == (person.keypoints[0, :, 2] > 0).sum()
        (x0, y0), (x1, y1) = scene.boxes[row, :2], scene.boxes[row, 2:]
        margin = 0.1 * (y1 - y0)
        assert ((seen[:, :2] > [x0 - margin, y0 - margin]) & (seen[:, :2] < [x1 + margin, y1 + margin])).all()
    shown = [scene.image[y0 : y1 + 1, x0 : x1 + 1] for x0, y0, x1, y1 in scene.boxes.astype(int)]
    assert all((other == shown[0]).all() for other in shown)
    assert (scene.image[scene.people > 0] != GREY).any()


def test_a_scene_has_the_largest_people_that_fit(person: Sample) -> None:
    one, two = tile_person(person, 1), tile_person(person, 2)
    tall = person.boxes[0, 3] - person.boxes[0, 1]
    assert one.boxes[0, 3] - one.boxes[0, 1] == pytest.approx(tall * SIZE[0] / 200, rel=0.01)
    assert two.boxes[0, 3] - two.boxes[0, 1] == pytest.approx(tall * SIZE[0] / 200, rel=0.01)  # side by side


@pytest.mark.parametrize("count", [0, 255])
def test_a_scene_of_none_or_more_than_254_people_is_refused(person: Sample, count: int) -> None:
    with pytest.raises(ValueError, match=f"{count} people: choose from 1 to 254"):
        tile_person(person, count)


def test_crops_show_one_person_each(person: Sample) -> None:
    scene = tile_person(person, 5)
    scene.image[scene.people > 0] = [40, 0, 0]
    scene.image[scene.people == 4] = [0, 200, 0]
    shown = crops(scene, CROP)
    assert shown.shape == (5, *CROP, 3)
    assert [int(crop[..., 1].max()) == 200 and int(crop[..., 0].min()) == 0 for crop in shown] == [
        i == 3 for i in range(5)
    ]


def test_the_largest_person_is_cropped_with_its_labels(tmp_path: Path) -> None:
    """Two figures in an image; the parser finds a spot of the first, and all of the second."""
    scene = draw_figures(T, size=(360, 480), people=2, seed=3, height=0.6)
    Image.fromarray(scene.image).save(tmp_path / "two.png")
    fitted, _ = letterbox(scene, CANVASES["high"][2])
    own = fitted.people == 2
    spot = (fitted.people == 1) & (np.arange(512)[:, None] < fitted.boxes[0, 1] + 9)
    own[2:4, 500:503] = True  # and a few pixels far away

    def parse(canvas: np.ndarray) -> RawPrediction:
        np.testing.assert_array_equal(canvas, fitted.image)
        values = {"part_map": np.where(own | spot, fitted.parts, 0), "person_map": (spot + 2 * own).astype(np.uint8)}
        values["keypoints"], values["person_score"] = fitted.keypoints, np.float32([0.9, 0.8])
        values["part_score"] = np.zeros((2, len(T.part_names)), np.float32)
        return RawPrediction(**values, overflow=0)

    person = cut_person(tmp_path / "two.png", parse, CANVASES["high"][2:3], T)
    x0, y0, x1, y1 = scene.boxes[1]
    assert person.size == pytest.approx((y1 - y0 + 1, x1 - x0 + 1), abs=3)
    assert person.boxes[0] == pytest.approx([0, 0, person.size[1] - 1, person.size[0] - 1], abs=1)
    joints = scene.keypoints[1]
    seen = (joints[:, :2] > [x0 + 2, y0 + 2]).all(axis=1) & (joints[:, :2] < [x1 - 2, y1 - 2]).all(axis=1)
    assert seen.sum() > 12
    assert (person.keypoints[0, seen, 2] > 0).all()
    np.testing.assert_allclose(person.keypoints[0, seen, :2], joints[seen, :2] - [x0, y0], atol=2)
    assert set(np.unique(person.people)) == {0, 1}
    assert set(np.unique(person.parts)) == {0, *np.unique(scene.parts[scene.people == 2])}


def test_an_image_without_people_is_refused(tmp_path: Path, bundle: OpenVinoStages) -> None:
    Image.new("RGB", (96, 64)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match=r"nobody is found in .*black\.png"):
        cut_person(tmp_path / "black.png", bundle.parse, ((192, 256),), T)


@pytest.mark.parametrize("kind", ["checkpoint", "bundle"])
def test_network_and_decoder_equal_the_whole(kind: str, checkpoint: Path, bundle: OpenVinoStages) -> None:
    stages: Stages = TorchStages(checkpoint) if kind == "checkpoint" else bundle
    with Image.open(BUNDLE / "sample.jpg") as file:
        canvas = stages.put(np.asarray(file.resize((352, 192)))[None].copy())
    with torch.no_grad():
        maps = stages.keep(stages.network(canvas))
        stages.network(stages.put(np.zeros((1, 192, 352, 3), np.uint8)))  # what was kept stays
        halves = stages.people(stages.decoder(canvas, maps))
        whole = stages.people(stages.whole(canvas))
    assert (whole.person_score > 0).sum() >= 2
    assert (halves.part_map == whole.part_map).mean() > 0.999
    assert (halves.person_map == whole.person_map).mean() > 0.999
    np.testing.assert_allclose(halves.person_score, whole.person_score, atol=1e-3)
    np.testing.assert_allclose(halves.keypoints, whole.keypoints, atol=0.05)


def test_bfloat16_applies_to_the_network_alone(checkpoint: Path) -> None:
    stages = TorchStages(checkpoint, "bfloat16")
    assert stages.precision == "bfloat16"
    canvas = torch.zeros((1, 64, 64, 3), dtype=torch.uint8)
    maps = stages.network(canvas)
    assert torch.bfloat16 in {m.dtype for m in maps}
    assert stages.decoder(canvas, maps).keypoints.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 4])
def test_all_labelled_people_are_found(person: Sample, bundle: OpenVinoStages, count: int) -> None:
    fitted, _ = letterbox(tile_person(person, count), (384, 672))
    maps = label_maps(fitted, bundle)
    assert tuple(maps) == HeadMaps._fields
    assert {m.dtype.name for m in maps.values()} == {"float32"}
    people = bundle.people(bundle.decoder(fitted.image[None], bundle.from_labels(maps)))
    assert (people.person_score > 0).sum() == count
    assert (people.part_map == fitted.parts).mean() > 0.98


def test_quartiles_and_the_ratio_of_two_series() -> None:
    assert quartiles(np.arange(1.0, 6)) == {"median": 3, "q1": 2, "q3": 4}
    slow = np.random.default_rng(0).uniform(1, 3, 40)  # the machine was busy, for both alike
    assert ratio(1.1 * slow, slow) == {"value": 1.1, "interval": [1.1, 1.1]}
    wide = ratio(np.random.default_rng(1).uniform(1, 3, 40), slow)
    assert wide["interval"][0] < wide["value"] < wide["interval"][1]


def test_a_machine_is_named() -> None:
    said = machine(torch.device("cpu"), 3)
    assert said["cpu"] == cpu_name()
    assert cpu_name().strip()
    assert said["threads"] == 3
    assert int(said["cores"]) >= 1


def _report(arguments: list[str], folder: Path) -> dict:
    json_path, picture = folder / "runtime.json", folder / "runtime.png"
    assert main(["benchmark-latency", *arguments, "--json", str(json_path), "--plot", str(picture)]) == 0
    with Image.open(picture) as drawn:
        assert min(drawn.size) > 300
    return json.loads(json_path.read_text())


def _check(report: dict, series: list[str], counts: list[int], rounds: int) -> None:
    assert report["people"] == counts
    assert report["rounds"] == rounds
    assert report["rounds_top_down"] == -(-rounds // TOP_DOWN_EVERY)
    assert list(report["milliseconds"]) == list(report["ratio"]) == series
    for times in report["milliseconds"].values():
        assert list(times) == [str(n) for n in counts]
        assert all(0 < t["q1"] <= t["median"] <= t["q3"] for t in times.values())
    for value in report["ratio"].values():
        assert value["people"] == [counts[0], counts[-1]]
        assert 0 < value["interval"][0] <= value["value"] <= value["interval"][1]
    assert report["machine"]["threads"] >= 1
    for found in report["found"].values():
        assert list(found) == [str(n) for n in counts]


def test_a_checkpoint(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = str(BUNDLE / "sample.jpg")
    arguments = [str(checkpoint), "--image", scene, "--people", "3", "1", "--rounds", "2"]
    report = _report(arguments, tmp_path)
    _check(report, [*SERIES, "top_down_batch"], [1, 3], 2)
    assert (report["kind"], report["precision"], report["image"]) == ("checkpoint", "float32", "sample.jpg")
    assert report["runtime"] == f"torch {torch.__version__}"
    assert report["canvas"] == [192, 352]
    assert capsys.readouterr().out.startswith("| people | found | found in labels | whole | network | decoder |")


def test_a_bundle(tmp_path: Path) -> None:
    report = _report([str(BUNDLE), "--people", "1", "2", "--rounds", "1"], tmp_path)
    _check(report, SERIES, [1, 2], 1)
    assert (report["kind"], report["precision"]) == ("bundle", "float32")
    assert report["runtime"].startswith("openvino 20")
    assert report["found"]["in_labels"] == {"1": 1, "2": 2}
    rows = table(
        {
            **report,
            "found": {k: {int(n): v for n, v in f.items()} for k, f in report["found"].items()},
            "milliseconds": {k: {int(n): v for n, v in f.items()} for k, f in report["milliseconds"].items()},
        }
    )
    assert rows.splitlines()[-1].startswith("| ratio |  |  | ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CHECKPOINT"], "is a checkpoint: name an image of a person with --image"),
        (["BUNDLE", "--precision", "bfloat16"], "is timed in float32"),
        (
            ["CHECKPOINT", "--image", "SAMPLE", "--detail", "high", "--people", "255"],
            "255 people: choose from 1 to 254",
        ),
        (["FIGURES"], "ends at red, green, blue"),
        (["CHECKPOINT", "--photo", "none.jpg"], "none.jpg is missing"),  # the option's name in version 0.1
        (["CHECKPOINT", "--image", "SAMPLE", "--rounds", "0"], "at least one round"),
        (["CHECKPOINT", "--image", "SAMPLE", "--people", "0"], "0 people: choose from 1 to 254"),
    ],
)
def test_invalid_arguments_are_refused(
    arguments: list[str], message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = {"CHECKPOINT": checkpoint, "BUNDLE": BUNDLE, "FIGURES": tmp_path, "SAMPLE": BUNDLE / "sample.jpg"}
    if "FIGURES" in arguments:
        figure_bundle(tmp_path)
    assert main(["benchmark-latency", *(str(paths.get(a, a)) for a in arguments)]) == 2
    assert message in capsys.readouterr().err
