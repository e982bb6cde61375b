"""`python -m training inspect`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from model.taxonomy import DENSEPOSE_COCO, MHP_V2
from tests.figures import draw_figures, write_folder
from training.__main__ import main

T = DENSEPOSE_COCO


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    samples = [replace(draw_figures(T, (64, 96), people=i % 3, seed=i), key=f"image{i}") for i in range(6)]
    return write_folder(tmp_path / "set", samples, T)


def inspect(*arguments: object) -> int:
    return main(["inspect", *map(str, arguments)])


def test_counts_and_a_picture(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.png"
    assert inspect(folder, "--vis-images", 2, "--num-images", 0, "--out", out) == 0
    captured = capsys.readouterr()
    assert "6 images of densepose_coco: 6 to train on, 0 held out" in captured.out
    assert "counted in all of them" in captured.out
    assert f"unknown{6:>24}{6:>14}{0:>11}" in captured.out  # by license
    assert "people    6, 6 with a mask; 2 images show nobody" in captured.out
    assert f"image grid: {out}" in captured.out
    with Image.open(out) as picture:
        assert picture.height > 600  # two rows of 256, titles and legend


def test_a_part_of_the_images_is_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inspect(folder, "--num-images", 2) == 0
    assert "counted in 2 of them, drawn by chance (--num-images 0: all)" in capsys.readouterr().out


def test_a_seed_gives_its_picture(folder: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert inspect(folder, "--vis-images", 1, "--seed", seed, "--out", tmp_path / f"{name}.png") == 0
    pictures = [(tmp_path / f"{name}.png").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


def test_images_are_drawn_as_a_recipe_augments_them(folder: Path, tmp_path: Path) -> None:
    for name, options in (("plain", []), ("varied", ["--views", "smoke"])):
        assert inspect(folder, "--vis-images", 1, "--out", tmp_path / f"{name}.png", *options) == 0
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "varied.png").read_bytes()


def test_a_broken_image_is_named_and_the_others_are_shown(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "parts/image1.png").unlink()
    assert inspect(folder, "--vis-images", 1, "--out", tmp_path / "sheet.png") == 0
    captured = capsys.readouterr()
    assert "broken: " in captured.err
    assert "image1.png is missing" in captured.err
    assert "people    5," in captured.out
    assert (tmp_path / "sheet.png").exists()
    assert inspect(folder, "--strict") == 2
    assert "image1.png is missing" in capsys.readouterr().err


def test_nothing_but_broken_images_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (folder / "parts").iterdir():
        path.unlink()
    assert inspect(folder) == 2
    assert "none of 6 images can be read" in capsys.readouterr().err


def test_warnings_are_reported_up_to_a_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [replace(draw_figures(T, (64, 64), people=1, seed=i), key=f"image{i}") for i in range(25)]
    for sample in samples:
        sample.parts[0, 0], sample.people[0, 0] = 77, 1
    assert inspect(write_folder(tmp_path / "set", samples, T), "--num-images", 0) == 0
    lines = capsys.readouterr().err.splitlines()
    assert sum("part ids 77, but densepose_coco ends at 14" in line for line in lines) == 20
    assert lines[-1] == "warning: and 5 more"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--taxonomy", "mhp_v2"], "has other parts: mhp_v2, but it lacks cap/hat"),
        (["--vis-images", 0], "draw at least one image"),
        (["--photos", 0], "draw at least one image"),  # the option's name in version 0.1
        (["--num-images", -1], "read 0 (all) or more"),
        (["--out", "nowhere/sheet.png"], "--out nowhere/sheet.png: there is no folder nowhere"),
        (["--out", "sheet.xyz"], "--out sheet.xyz: name a .png or .jpg"),
    ],
)
def test_wrong_arguments(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    assert inspect(folder, *arguments) == 2
    assert message in capsys.readouterr().err


def test_the_taxonomy_is_the_data_sets_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_folder(tmp_path / "set", [draw_figures(MHP_V2, (64, 64), people=1)], MHP_V2)
    assert inspect(tmp_path / "set") == 0
    assert "1 images of mhp_v2" in capsys.readouterr().out
