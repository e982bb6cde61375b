"""Reading the folders' format, and the split."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO, MHP_V2, PASCAL_PERSON_PART, TAXONOMIES, Taxonomy
from tests.figures import draw_figures, write_folder
from training.data.datasets.folder_records import folder_taxonomy
from training.data.datasets.folders import FolderDataset
from training.data.samples import DatasetError, Sample

T = DENSEPOSE_COCO


def edit(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = root / "annotations.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_written_samples_are_read(tmp_path: Path) -> None:
    samples = [draw_figures(T, people=n, seed=n) for n in (2, 0, 1)]
    write_folder(tmp_path / "a", samples[:2], T)
    write_folder(tmp_path / "b", samples[2:], T)
    dataset = FolderDataset([tmp_path / "a", tmp_path / "b"], T)
    assert [record.person_count for record in dataset.records] == [2, 0, 1]
    for i, expected in enumerate(samples):
        sample = dataset.load(i)
        for name in ("image", "parts", "people", "has_mask"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name))
        np.testing.assert_allclose(sample.keypoints, expected.keypoints, rtol=1e-6)
        np.testing.assert_allclose(sample.boxes, expected.boxes, rtol=1e-6)
        assert (sample.key, sample.source) == (expected.key, "coco-sports")


def test_an_avif_image_is_read(tmp_path: Path) -> None:
    sample = draw_figures(T)
    write_folder(tmp_path, [sample], T)
    Image.fromarray(sample.image).save(tmp_path / "images/image.avif", quality=90)
    edit(tmp_path, lambda v: v["images"][0].update(file_name="images/image.avif"))
    image = FolderDataset([tmp_path], T).load(0).image
    assert np.abs(image.astype(int) - sample.image).mean() < 8


def test_an_absent_joint_is_unlabelled_in_real_and_known_in_synthetic_images(tmp_path: Path) -> None:
    sample = draw_figures(T, people=1)
    sample.keypoints[0, 3] = 0
    for source, known in (("coco-sports", False), ("synthetic", True)):
        write_folder(tmp_path / source, [sample], T, source)
        labelled = FolderDataset([tmp_path / source], T).load(0).joints_labelled
        assert labelled[0, 3] == known
        assert labelled[0, 0]


@pytest.mark.parametrize(
    ("source", "changes", "believed"),
    [
        ("teacher", {"left_eye": (50, 20, 2)}, True),
        ("teacher", {}, False),
        ("teacher", {"left_eye": (30, 20, 1)}, False),
        ("teacher", {"right_shoulder": (15, 40, 2)}, True),  # a profile
        ("teacher", {"right_shoulder": (0, 0, 0)}, False),
        ("teacher", {"left_shoulder": (0, 0, 0)}, False),
        ("teacher", {"right_eye": (0, 0, 0)}, True),
        ("ground_truth", {}, True),
        ("synthetic", {}, True),
    ],
)
def test_a_pseudo_labelled_face_on_the_back_of_a_head_is_dropped(
    tmp_path: Path, source: str, changes: dict[str, tuple[int, int, int]], believed: bool
) -> None:
    """The first person of two turns the back: everything left lies left. The second faces the camera."""
    back = {"left_eye": (30, 20, 2), "right_eye": (40, 20, 2), "left_shoulder": (20, 40, 2)}
    back |= {"right_shoulder": (50, 40, 2), "nose": (35, 24, 2), "left_ear": (28, 21, 2)} | changes
    front = {"left_eye": (90, 20, 2), "right_eye": (80, 20, 2), "nose": (85, 24, 2)}
    sample = draw_figures(T, people=2)
    for row, points in enumerate((back, front)):
        sample.keypoints[row] = [points.get(name, (0, 0, 0)) for name in T.joint_names]
    write_folder(tmp_path, [sample], T)
    edit(tmp_path, lambda v: [person.update(keypoints_source=source) for person in v["annotations"]])
    record = FolderDataset([tmp_path], T).records[0]
    expected = sample.keypoints.copy()
    if not believed:
        expected[0, [T.joint_names.index(name) for name in ("nose", "left_eye", "right_eye")]] = 0
    np.testing.assert_array_equal(record.keypoints, expected)
    np.testing.assert_array_equal(record.joints_labelled, (expected[..., 2] > 0) | (source == "synthetic"))


def test_joints_without_a_face_are_unchanged(tmp_path: Path) -> None:
    sample = draw_figures(PASCAL_PERSON_PART)
    sample.keypoints[..., 0] = np.arange(len(PASCAL_PERSON_PART.joint_names))  # left before right
    write_folder(tmp_path, [sample], PASCAL_PERSON_PART)
    edit(tmp_path, lambda v: [person.update(keypoints_source="teacher") for person in v["annotations"]])
    record = FolderDataset([tmp_path], PASCAL_PERSON_PART).records[0]
    np.testing.assert_allclose(record.keypoints, sample.keypoints, rtol=1e-6)


def test_masks_that_a_model_made_are_marked(tmp_path: Path) -> None:
    write_folder(tmp_path, [draw_figures(T, people=3)], T)
    sources = ("teacher", "ground_truth", "none")
    edit(tmp_path, lambda v: [p.update(mask_source=s) for p, s in zip(v["annotations"], sources, strict=True)])
    sample = FolderDataset([tmp_path], T).load(0)
    assert sample.pseudo_mask.tolist() == [True, False, False]
    assert sample.has_mask.tolist() == [True, True, False]


def test_people_are_sorted_by_their_index(tmp_path: Path) -> None:
    sample = draw_figures(T, people=3)
    write_folder(tmp_path, [sample], T)
    edit(tmp_path, lambda v: v["annotations"].reverse())
    np.testing.assert_allclose(FolderDataset([tmp_path], T).load(0).keypoints, sample.keypoints, rtol=1e-6)


def damage_image(root: Path) -> None:
    path = next((root / "images").iterdir())
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: next((root / "parts").iterdir()).unlink(), r"parts.figures_0_3.png is missing: unpack"),
        (damage_image, r"images.figures_0_3.png cannot be decoded"),
        (lambda root: Image.new("L", (5, 5)).save(root / "people/figures_0_3.png"), "must have one size"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write_folder(tmp_path, [draw_figures(T)], T)
    dataset = FolderDataset([tmp_path], T)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        dataset.load(0)


def first(kind: str, **values: object) -> Callable[[Path], object]:
    """An edit of the first image or annotation."""
    return lambda root: edit(root, lambda v: v[kind][0].update(values))


def without(kind: str, name: str) -> Callable[[Path], object]:
    return lambda root: edit(root, lambda v: v[kind][0].pop(name))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "annotations.json").unlink(), "annotations.json is missing"),
        (lambda root: (root / "annotations.json").write_text("{"), "annotations.json is damaged"),
        (lambda root: (root / "annotations.json").write_text("[]"), "annotations.json is damaged.*no JSON object"),
        (lambda root: edit(root, lambda v: v.pop("images")), "annotations.json is damaged.*'images' is missing"),
        (without("images", "id"), "annotations.json is damaged.*'id' is missing"),
        (without("images", "file_name"), "image figures_0_3.*'file_name' is missing; correct"),
        (without("annotations", "image_id"), "'image_id' is missing"),
        (first("annotations", image_id=77), "no image has the image_id 77"),
        (lambda root: edit(root, lambda v: v["images"].append(v["images"][0])), "image id 0 is given twice"),
        (lambda root: edit(root, lambda v: v["images"].append({**v["images"][0], "id": 1})), "key 'figures_0_3'"),
        (lambda root: edit(root, lambda v: v["annotations"].pop(0)), "image figures_0_3: .*not numbered 1..n"),
        (without("annotations", "person_index"), "image figures_0_3: 'person_index' is missing"),
        (first("annotations", keypoints=[1, 2]), "image figures_0_3: person 1 has 2 numbers.* 17 joints have 51"),
        (first("annotations", keypoints=[1, 2, 3] * 17), "image figures_0_3: person 1 .*v 0, 1 or 2"),
        (first("annotations", keypoints=["a"] * 51), "image figures_0_3: could not convert"),
        (first("annotations", bbox=[1, 2, 0, 4]), r"image figures_0_3: person 1 has the bbox \[1, 2, 0, 4\]; write"),
        (lambda root: edit(root, lambda v: v["categories"].append({})), "2 categories; keep one"),
        (lambda root: edit(root, lambda v: v["info"].update(part_names=["torso"])), "starts with 'background'"),
    ],
)
def test_broken_annotations_are_named(tmp_path: Path, damage: Callable[[Path], object], message: str) -> None:
    write_folder(tmp_path, [draw_figures(T)], T)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        FolderDataset([tmp_path], T)


def test_another_taxonomy_is_refused_with_the_difference(tmp_path: Path) -> None:
    write_folder(tmp_path, [draw_figures(MHP_V2)], MHP_V2)
    with pytest.raises(DatasetError, match=r"other parts: densepose_coco, but it lacks torso.*has besides cap/hat,"):
        FolderDataset([tmp_path], T)


def swap(names: list[str]) -> None:
    names[3], names[4] = names[4], names[3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: swap(v["info"]["part_names"]), "parts come in another order from 'left_foot' .place 3. on"),
        (lambda v: swap(v["categories"][0]["keypoints"]), "joints come in another order from 'right_ear' .place 4. on"),
        (
            lambda v: v["categories"][0]["keypoints"].append("nose"),
            "joints come in another order from 'nose' .place 18.",
        ),
        (lambda v: v["categories"][0]["keypoints"].pop(), "it lacks right_ankle: "),
    ],
)
def test_names_in_another_order_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_folder(tmp_path, [draw_figures(T)], T)
    edit(tmp_path, change)
    with pytest.raises(DatasetError, match=message):
        FolderDataset([tmp_path], T)


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_the_taxonomy_is_known_by_the_names_of_parts(tmp_path: Path, taxonomy: Taxonomy) -> None:
    write_folder(tmp_path, [draw_figures(taxonomy, people=1)], taxonomy)
    assert folder_taxonomy(tmp_path) is taxonomy


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.pop("info"), "no info.part_names"),
        (lambda v: v["info"].update(part_names=["background", "head", "tail"]), "nearest is .* has besides tail"),
    ],
)
def test_an_unknown_taxonomy_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    write_folder(tmp_path, [draw_figures(T, people=1)], T)
    edit(tmp_path, change)
    with pytest.raises(DatasetError, match=message):
        folder_taxonomy(tmp_path)


def write_own(root: Path, sample: Sample, value: dict[str, Any]) -> FolderDataset:
    """An image of one's own called me.jpg with the annotations `value`."""
    for folder, array in (("images", sample.image), ("parts", sample.parts), ("people", sample.people)):
        (root / folder).mkdir(parents=True)
        Image.fromarray(array).save(root / folder / ("me.jpg" if folder == "images" else "me.png"))
    (root / "annotations.json").write_text(json.dumps(value))
    return FolderDataset([root], T)


def test_an_image_and_its_maps_are_enough(tmp_path: Path) -> None:
    figures = draw_figures(T, people=2)
    value = {"images": [{"id": 1, "file_name": "images/me.jpg"}], "annotations": [{"image_id": 1}, {"image_id": 1}]}
    dataset = write_own(tmp_path, figures, value)
    sample = dataset.load(0)
    np.testing.assert_array_equal(sample.people, figures.people)
    np.testing.assert_array_equal(sample.parts, figures.parts)
    np.testing.assert_array_equal(sample.boxes, figures.boxes)
    assert sample.has_mask.all()
    assert not sample.keypoints.any()
    assert not sample.joints_labelled.any()
    assert (sample.key, sample.source) == ("me", "own")
    assert dataset.records[0].ground_truth
    assert not dataset.records[0].negative


def test_the_box_of_a_person_missing_in_the_map_is_unknown(tmp_path: Path) -> None:
    figures = draw_figures(T, people=2)
    figures.parts[figures.people == 2] = figures.people[figures.people == 2] = 0
    first = np.argwhere(figures.people == 1).max(axis=0)[1]  # the box reaches into the first person
    box = [int(first) - 5, 10, 40, 300]
    value = {
        "images": [{"id": 1, "file_name": "images/me.jpg"}],
        "annotations": [{"image_id": 1}, {"image_id": 1, "bbox": box}],
    }
    sample = write_own(tmp_path, figures, value).load(0)
    np.testing.assert_array_equal(sample.has_mask, [True, False])
    np.testing.assert_array_equal(sample.boxes[1], [box[0], 10, box[0] + 40, 310])
    np.testing.assert_array_equal(sample.people == 1, figures.people == 1)
    unknown = np.zeros(figures.size, bool)
    unknown[10:, box[0] : box[0] + 41] = True
    np.testing.assert_array_equal(sample.people == 255, unknown & (figures.people == 0))
    np.testing.assert_array_equal(sample.parts == 255, sample.people == 255)


def test_a_person_with_neither_mask_nor_box_is_refused(tmp_path: Path) -> None:
    value = {"images": [{"id": 1, "file_name": "images/me.jpg"}], "annotations": [{"image_id": 1}] * 2}
    dataset = write_own(tmp_path, draw_figures(T, people=1), value)
    with pytest.raises(DatasetError, match=r"people.me.png: person 2 has no pixel .* give its bbox"):
        dataset.load(0)


def test_a_crowd_is_no_person(tmp_path: Path) -> None:
    value = {
        "images": [{"id": 1, "file_name": "images/me.jpg"}],
        "annotations": [{"image_id": 1, "iscrowd": 1}, {"image_id": 1}],
    }
    assert write_own(tmp_path, draw_figures(T, people=1), value).records[0].person_count == 1


def write_records(root: Path, images: list[dict[str, Any]], people: list[int]) -> Path:
    """Annotations alone, of `people[i]` people in image i: what a split is made from."""
    root.mkdir()
    for number, image in enumerate(images):
        image.update(id=number, file_name=f"images/{number}.jpg")
    annotations = [{"image_id": i} for i, count in enumerate(people) for _ in range(count)]
    (root / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


def rank(original_id: object) -> str:
    return hashlib.sha256(str(original_id).encode()).hexdigest()


def test_the_split_holds_out_the_smallest_hashes_with_their_copies(tmp_path: Path) -> None:
    real: list[dict[str, Any]] = [{"original_id": i, "source": "shop"} for i in range(80)]
    for image in real[70:]:
        image["negative"] = True
    write_records(tmp_path / "real", real, [2] * 40 + [1] * 30 + [0] * 10)
    edit(tmp_path / "real", lambda v: v["annotations"][0].update(keypoints_source="teacher"))  # of image 0
    expected = sorted(range(1, 40), key=rank)[:6] + sorted(range(70, 80), key=rank)[:2]
    backgrounds = [str(expected[-1]), *["elsewhere.jpg"] * 41]
    rendered = [{"key": f"syn{i}", "source": "synthetic", "background": b} for i, b in enumerate(backgrounds)]
    write_records(tmp_path / "synthetic", rendered, [2] * 42)
    write_records(tmp_path / "copy", [{"original_id": expected[0], "source": "synthetic"}], [2])
    dataset = FolderDataset([tmp_path / "real", tmp_path / "synthetic", tmp_path / "copy"], T)
    training, validation = dataset.split()
    assert validation == sorted(expected)
    # 80 is the frame in front of a held-out image, 122 the copy of one.
    assert training == [i for i in range(122) if i not in expected and i != 80]


def test_the_split_takes_images_of_one_person_if_there_are_no_others(tmp_path: Path) -> None:
    dataset = FolderDataset([write_records(tmp_path / "own", [{} for _ in range(100)], [1] * 98 + [2] * 2)], T)
    expected = [98, 99, *sorted(range(98), key=rank)[:8]]
    assert dataset.split()[1] == sorted(expected)


@pytest.mark.parametrize(
    ("people", "negatives", "held"),
    [(9, 0, (0, 0)), (10, 0, (1, 0)), (100, 0, (10, 0)), (90, 10, (8, 2)), (99, 1, (9, 1)), (3000, 600, (150, 50))],
)
def test_the_split_holds_out_a_tenth_and_at_most_200(
    tmp_path: Path, people: int, negatives: int, held: tuple[int, int]
) -> None:
    counts = [1] * people + [0] * negatives
    dataset = FolderDataset([write_records(tmp_path / "own", [{} for _ in counts], counts)], T)
    training, validation = dataset.split()
    assert (sum(i < people for i in validation), sum(i >= people for i in validation)) == held
    assert sorted(training + validation) == list(range(people + negatives))


def test_an_images_own_split_has_precedence(tmp_path: Path) -> None:
    images: list[dict[str, Any]] = [{} for _ in range(40)]
    images[3]["split"], images[7]["split"], images[8]["split"] = "val", "train", "val2017"
    write_records(tmp_path / "marked", images, [1] * 40)
    others = [{"key": f"other{i}", "split": "train2017"} for i in range(20)]  # a note of another data set
    write_records(tmp_path / "others", others, [1] * 20)
    dataset = FolderDataset([tmp_path / "marked", tmp_path / "others"], T)
    training, validation = dataset.split()
    ruled = sorted(range(20), key=lambda i: rank(f"other{i}"))[:2]
    assert validation == sorted([3, *(40 + i for i in ruled)])
    assert sorted(training + validation) == list(range(60))


def test_the_documented_annotations_are_read(tmp_path: Path) -> None:
    document = (Path(__file__).parents[4] / "docs/own-data.md").read_text()
    minimal, full = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", document, re.DOTALL))
    for name, value, taxonomy in (("minimal", minimal, T), ("full", full, PASCAL_PERSON_PART)):
        root = tmp_path / name
        for folder in ("images", "parts", "people"):
            (root / folder).mkdir(parents=True)
        people = len(value["annotations"])
        sample = draw_figures(taxonomy, (100, 120), people=people)
        Image.fromarray(sample.image).save(root / "images/beach.jpg")
        Image.fromarray(sample.parts).save(root / "parts/beach.png")
        Image.fromarray(sample.people).save(root / "people/beach.png")
        (root / "annotations.json").write_text(json.dumps(value))
        loaded = FolderDataset([root], taxonomy).load(0)
        assert len(loaded.boxes) == people
        np.testing.assert_array_equal(loaded.boxes, sample.boxes)
    assert folder_taxonomy(tmp_path / "full") is PASCAL_PERSON_PART
    np.testing.assert_array_equal(loaded.keypoints[0, :3], [[61, 20, 2], [60, 34, 2], [70, 38, 2]])
    assert FolderDataset([tmp_path / "full"], PASCAL_PERSON_PART).records[0].split == "train"
