"""`python -m training convert`, from exports in each format to folders that are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from tests.training.data.convert.exports import write_instances, write_label_studio, write_panoptic, write_people
from training.__main__ import main
from training.data.datasets.folders import FolderDataset
from training.data.samples import Sample

T = DENSEPOSE_COCO
NAMES = list(TAXONOMIES)


def figures(taxonomy: Taxonomy = T) -> list[Sample]:
    return [draw_figures(taxonomy, (96, 128), people=n, seed=n, height=0.8) for n in (3, 0, 1)]


def convert(*arguments: object) -> int:
    return main(["convert", *map(str, arguments)])


def check(out: Path, samples: list[Sample], taxonomy: Taxonomy = T, joints: bool = True) -> None:
    dataset = FolderDataset([out], taxonomy)
    assert [record.key for record in dataset.records] == [sample.key for sample in samples]
    for i, expected in enumerate(samples):
        sample = dataset.load(i)
        for name in ("image", "parts", "people", "has_mask"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name), err_msg=name)
        np.testing.assert_allclose(sample.boxes, expected.boxes + np.array([0, 0, 1, 1]))
        np.testing.assert_allclose(sample.keypoints, expected.keypoints * joints, atol=0.011)
        assert dataset.records[i].negative == (len(expected.keypoints) == 0)


@pytest.mark.parametrize("name", NAMES)
def test_panoptic_segments_with_person_ids(tmp_path: Path, name: str) -> None:
    samples = figures(TAXONOMIES[name])
    source = write_panoptic(tmp_path, samples, TAXONOMIES[name])
    assert convert("coco-panoptic", source, tmp_path / "out", "--taxonomy", name) == 0
    check(tmp_path / "out", samples, TAXONOMIES[name], joints=False)


def test_panoptic_segments_with_a_file_of_people(tmp_path: Path) -> None:
    samples = figures()
    source = write_panoptic(tmp_path, samples, T, grouped=False)
    people = write_people(tmp_path, samples, T)
    assert convert("coco-panoptic", source, tmp_path / "out", "--people", people) == 0
    check(tmp_path / "out", samples)


@pytest.mark.parametrize("name", NAMES)
def test_instances(tmp_path: Path, name: str) -> None:
    samples = figures(TAXONOMIES[name])
    source = write_instances(tmp_path, samples, TAXONOMIES[name])
    assert convert("coco-instances", source, tmp_path / "out", "--taxonomy", name) == 0
    check(tmp_path / "out", samples, TAXONOMIES[name])


@pytest.mark.parametrize("name", NAMES)
def test_label_studio(tmp_path: Path, name: str) -> None:
    samples = figures(TAXONOMIES[name])
    source = write_label_studio(tmp_path, samples, TAXONOMIES[name])
    assert convert("label-studio", source, tmp_path / "out", "--taxonomy", name) == 0
    check(tmp_path / "out", samples, TAXONOMIES[name])


def test_a_broken_entry_is_named_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = figures()
    source = write_instances(tmp_path, samples, T)
    (tmp_path / f"images/{samples[2].key}.png").unlink()
    assert convert("coco-instances", source, tmp_path / "out") == 0
    check(tmp_path / "out", samples[:2])
    captured = capsys.readouterr()
    assert f"skipped {samples[2].key}.png: " in captured.err
    assert "is missing; name the folder of the images" in captured.err
    assert "2 images of 3 people in" in captured.out
    assert captured.out.rstrip().splitlines()[-1].startswith("look at them: python -m training inspect")
    assert not (tmp_path / f"out/parts/{samples[2].key}.png").exists()


def test_strict_stops_at_a_broken_entry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = figures()
    source = write_instances(tmp_path, samples, T)
    (tmp_path / f"images/{samples[2].key}.png").unlink()
    assert convert("coco-instances", source, tmp_path / "out", "--strict") == 2
    assert f"{samples[2].key}.png: " in capsys.readouterr().err


def test_unknown_names_are_unknown_until_they_are_mapped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = figures()[:1]
    source = write_instances(tmp_path, samples, T)
    value = json.loads(source.read_text())
    renamed = {"head": "skull", "nose": "snout", "left_hand": "Left Hand", "torso": "shirt", "right_foot": "sole"}
    for category in value["categories"]:
        category["name"] = renamed.get(category["name"], category["name"])
    value["categories"][0].update(name="human", keypoints=["snout", *T.joint_names[1:]])
    source.write_text(json.dumps(value))
    names = tmp_path / "names.json"

    names.write_text(json.dumps({"human": "person", "shirt": "ignore", "sole": "background"}))
    assert convert("coco-instances", source, tmp_path / "half", "--class-map", names) == 0
    error = capsys.readouterr().err
    assert "unknown parts, written as unknown: 'skull' (3); name them in a --class-map file" in error
    assert "unknown joints, left out: 'snout' (3)" in error
    head, torso, foot = (T.part_names.index(name) + 1 for name in ("head", "torso", "right_foot"))
    parts, people = samples[0].parts.copy(), samples[0].people.copy()
    parts[np.isin(parts, (head, torso))] = 255
    people[parts == foot], parts[parts == foot] = 0, 0
    keypoints = samples[0].keypoints.copy()
    keypoints[:, 0] = 0
    sample = FolderDataset([tmp_path / "half"], T).load(0)
    np.testing.assert_array_equal(sample.parts, parts)
    np.testing.assert_array_equal(sample.people, people)
    np.testing.assert_allclose(sample.keypoints, keypoints, atol=0.011)

    names.write_text(
        json.dumps({"human": "person", "shirt": "torso", "sole": "right_foot", "skull": "head", "snout": "nose"})
    )
    assert convert("coco-instances", source, tmp_path / "whole", "--class-map", names) == 0
    assert "unknown" not in capsys.readouterr().err
    check(tmp_path / "whole", samples)


def test_one_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sample = draw_figures(T, (96, 128), people=1)
    source = write_panoptic(tmp_path, [sample], T, grouped=False)
    assert convert("coco-panoptic", source, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "its parts name nobody; group them by person" in error
    assert "none of 1 entries" in error
    assert convert("coco-panoptic", source, tmp_path / "one", "--one-person") == 0
    check(tmp_path / "one", [sample], joints=False)


def test_hard_links(tmp_path: Path) -> None:
    sample = draw_figures(T, (96, 128), people=1)
    source = write_instances(tmp_path, [sample], T)
    assert convert("coco-instances", source, tmp_path / "out", "--link") == 0
    assert (tmp_path / f"out/images/{sample.key}.png").samefile(tmp_path / f"images/{sample.key}.png")
    assert convert("coco-instances", source, tmp_path / "copy") == 0
    assert not (tmp_path / f"copy/images/{sample.key}.png").samefile(tmp_path / f"images/{sample.key}.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["label-studio", "{source}", "{out}"], "is no list of tasks with annotations; export as JSON"),
        (["coco-panoptic", "{root}", "{out}"], "is a folder; name the JSON file"),
        (["coco-instances", "{root}/none.json", "{out}"], "cannot be read"),
        (["coco-instances", "{source}", "{root}"], "already holds something; name a new folder"),
        (["coco-instances", "{source}", "{out}", "--people", "{source}"], "--people belongs to coco-panoptic"),
        (["coco-instances", "{source}", "{out}", "--class-map", "{source}"], "must be a JSON object of names"),
        (["coco-instances", "{source}", "{out}", "--images", "{out}"], "none of 1 entries"),
    ],
)
def test_wrong_arguments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    source = write_instances(tmp_path, [replace(draw_figures(T, (32, 32), people=1), key="me")], T)
    assert convert(*(a.format(source=source, root=tmp_path, out=tmp_path / "out") for a in arguments)) == 2
    assert message in capsys.readouterr().err
