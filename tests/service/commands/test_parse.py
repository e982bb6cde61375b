"""Images into files."""

from __future__ import annotations

import errno
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from service.cli import main
from service.commands import parse as commands_parse
from service.images.header import READS_HEIC
from service.responses.schemas import ParseResponse
from tests.service.conftest import SIZE, encode

pytestmark = pytest.mark.usefixtures("environment")


def test_parse_writes_four_files_and_goes_on_after_a_broken_image(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("a.png", png), ("broken.jpg", png[:99]), ("b.c.png", png)):
        (tmp_path / name).write_bytes(data)
    images = [str(tmp_path / n) for n in ("a.png", "broken.jpg", "missing.jpg", "b.c.png")]
    out = tmp_path / "out"
    assert main(["parse", *images, "--out", str(out)]) == 1
    suffixes = (".json", ".overlay.jpg", ".parts.png", ".people.png")
    assert sorted(p.name for p in out.iterdir()) == [n + s for n in ("a", "b.c") for s in suffixes]
    errors = capsys.readouterr().err
    assert "broken.jpg: the image is damaged" in errors
    assert "missing.jpg" in errors

    answer = ParseResponse.model_validate_json((out / "a.json").read_text())
    assert len(answer.people) == 2
    people = np.asarray(Image.open(out / "a.people.png"))
    assert people.shape == SIZE
    assert [(people == p.id).sum() for p in answer.people] == [p.area for p in answer.people]
    with Image.open(out / "a.parts.png") as parts, Image.open(out / "a.overlay.jpg") as overlay:
        assert (parts.mode, overlay.size) == ("P", (SIZE[1], SIZE[0]))


def test_parse_succeeds_where_every_image_does(png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    assert main(["parse", str(tmp_path / "a.png"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "a.json").is_file()


def run(*arguments: object) -> int:
    return main(["parse", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_files_of_one_stem_are_kept_apart_by_folder_and_ending(png: bytes, rgb: np.ndarray, tmp_path: Path) -> None:
    for name in ("x/a.png", "y/a.png", "y/a.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / "x/a.png").write_bytes(png)
    (tmp_path / "y/a.png").write_bytes(png)
    (tmp_path / "y/a.jpg").write_bytes(encode(Image.fromarray(rgb), "JPEG"))
    out = tmp_path / "out"
    assert run(tmp_path / "x/a.png", tmp_path / "y/a.png", tmp_path / "y/a.jpg", "--out", out) == 0
    assert [n for n in names(out) if n.endswith(".json")] == ["x/a.json", "y/a.jpg.json", "y/a.png.json"]
    assert json.loads((out / "y/a.jpg.json").read_text())["file_name"] == str(tmp_path / "y/a.jpg")


def test_a_second_run_skips_what_is_done_and_parses_what_has_changed(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.png", "B.PNG", "deep/c.png", ".hidden.png"):
        (folder / name).write_bytes(png)
    (folder / "notes.txt").write_text("no image")
    assert run(folder, "--out", out) == 0
    assert {Path(n).name.split(".")[0] for n in names(out)} == {"a", "B"}
    assert run(folder, "--out", out, "--recursive") == 0
    assert "1 parsed" in (said := capsys.readouterr().err)
    assert "2 done before" in said
    assert (out / "deep/c.json").is_file()

    before = (out / "a.json").read_text()
    (folder / "B.PNG").write_bytes(encode(Image.new("RGB", (20, 10)), "PNG"))
    (out / "deep/c.parts.png").unlink()  # as if interrupted
    assert run(folder, "--out", out, "--recursive") == 0
    assert "2 parsed" in capsys.readouterr().err
    assert json.loads((out / "B.json").read_text())["image"]["width"] == 20
    assert (out / "a.json").read_text() == before
    assert run(folder, "--out", out, "--overwrite") == 0
    assert (out / "a.json").read_text() != before  # another request id

    monkeypatch.setattr("service.commands.parse.load_parser", None)  # nothing is left to parse
    assert run(folder, "--out", out, "--recursive") == 0
    monkeypatch.undo()
    assert run(folder, "--out", out, "--detail", "high") == 0
    assert json.loads((out / "a.json").read_text())["model"]["detail"] == "high"


def test_a_file_of_somebody_else_is_never_overwritten(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png", "a.overlay.jpg"):
        (tmp_path / name).write_bytes(png)
    (tmp_path / "b.json").write_text('{"people": []}')
    images = [tmp_path / n for n in ("a.png", "b.png", "c.png")]
    for more in ([], ["--overwrite"]):
        assert run(*images, "--out", tmp_path, *more) == 1
        errors = capsys.readouterr().err
        for name in ("a.overlay.jpg", "b.json"):
            assert f"{name} was not written by humanparse: rename it or choose another --out" in errors
    assert (tmp_path / "a.overlay.jpg").read_bytes() == png
    assert (tmp_path / "b.json").read_text() == '{"people": []}'
    assert not (tmp_path / "a.json").exists()
    assert (tmp_path / "c.json").exists()


def test_results_of_another_image_stay_unless_overwrite_is_given(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/a.png").write_bytes(png)
    (tmp_path / "a.png").write_bytes(encode(Image.new("RGB", (20, 10)), "PNG"))
    assert run(tmp_path / "a.png", "--out", tmp_path) == 0
    assert run(tmp_path / "x/a.png", "--out", tmp_path) == 1
    assert f"a.json holds the results of {tmp_path}/a.png: choose another --out" in capsys.readouterr().err
    assert run(tmp_path / "x/a.png", "--out", tmp_path, "--overwrite") == 0
    assert json.loads((tmp_path / "a.json").read_text())["image"]["width"] == SIZE[1]


def test_pictures_of_the_program_are_not_parsed(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(png)
    assert run(tmp_path / "a.png", "--out", tmp_path) == 0
    everything = names(tmp_path)
    assert run(tmp_path / "*.*g", "--out", tmp_path) == 0
    assert names(tmp_path) == everything
    assert "3 left out (pictures of humanparse)" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing_torn_and_ends_the_batch(
    png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png)
    out, write, written = tmp_path / "out", Path.write_bytes, []

    def write_bytes(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) <= 4 + 2:  # all of a, two of b
            return write(path, data)
        write(path, data[:50])
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    assert run(*(tmp_path / n for n in ("a.png", "b.png", "c.png")), "--out", out) == 1
    assert names(out) == ["a.json", "a.overlay.jpg", "a.parts.png", "a.people.png"]
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanparse: ")]
    assert len(errors) == 2
    assert "b.png" in errors[0]
    assert "No space left on device" in errors[0]
    assert "1 parsed, 1 failed of 3 images" in errors[1]


def test_ctrl_c_says_what_is_done_and_the_same_command_goes_on(
    png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png)
    arguments = [*(tmp_path / n for n in ("a.png", "b.png", "c.png")), "--out", tmp_path / "out"]
    parse, images = commands_parse._parse_image, []

    def interrupted(*given: object) -> dict[str, bytes]:
        images.append(1)
        if len(images) == 2:
            raise KeyboardInterrupt
        return parse(*given)

    monkeypatch.setattr(commands_parse, "_parse_image", interrupted)
    assert run(*arguments) == 130
    assert "interrupted: 1 parsed of 3 images; the same command goes on from here" in capsys.readouterr().err
    assert {n.split(".")[0] for n in names(tmp_path / "out")} == {"a"}
    assert run(*arguments) == 0
    assert len(images) == 4


def test_an_output_folder_that_is_none(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(png)
    assert run(tmp_path / "a.png", "--out", tmp_path / "a.png") == 2
    assert run(tmp_path / "a.png", "--out", tmp_path / "a.png" / "deeper") == 2
    assert run(tmp_path / "a.png", "--out", "/proc/nothing") == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanparse: ")]
    assert len(errors) == 3
    assert errors[0].endswith("is a file: name a folder")
    assert "cannot write to --out" in errors[1]
    assert "cannot write to --out" in errors[2]
    assert (tmp_path / "a.png").read_bytes() == png


def test_standard_input(png: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(png)))
    assert run("-", "--out", tmp_path) == 0
    assert json.loads((tmp_path / "stdin.json").read_text())["file_name"] == "-"


def test_a_folder_as_one_coco_file(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png)
    (folder / "broken.jpg").write_bytes(b"x")
    for expected in ("2 parsed", "2 done before"):
        assert run(folder, "--out", out, "--format", "coco") == 1  # one is broken
        assert expected in capsys.readouterr().err
        data = COCO(str(out / "results.coco.json"))
        assert sorted(i["file_name"] for i in data.dataset["images"]) == [str(folder / n) for n in ("a.png", "b.png")]
    (out / "results.coco.json").write_text("{}")
    assert run(folder, "--out", out, "--format", "coco") == 2
    assert "results.coco.json was not written by humanparse" in capsys.readouterr().err


def test_faults_of_an_image_are_one_line_each(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUMANPARSE_MAX_BYTES", "1000")
    (tmp_path / "large.png").write_bytes(png + b"\0" * 1000)
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "text.png").write_text("hello")
    os.mkfifo(tmp_path / "pipe.png")
    assert run(tmp_path, tmp_path / "missing.png", "--out", tmp_path / "out") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanparse: ")]
    for name, reason in {
        "large.png": "larger than 1000 bytes",
        "a.heic": "the image's header is damaged" if READS_HEIC else "HEIC is read only where",
        "text.png": "no image of a supported format",
        "pipe.png": "this is no file",
        "missing.png": "No such file or directory",
    }.items():
        assert sum(name in line and reason in line for line in errors) == 1, name
    assert len(errors) == 6
    assert not list((tmp_path / "out").iterdir())
