"""The commands, as a user runs them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from service.cli import main

pytestmark = pytest.mark.usefixtures("environment")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve", "--bundle", "/nowhere"], 1, "/nowhere is not a bundle"),
        (["bench", "--image", "/nowhere.jpg"], 2, "name an image"),
        (["bench"], 2, "name an image"),
    ],
)
def test_wrong_paths(arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    assert message in capsys.readouterr().err


def test_an_unknown_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUMANPARSE_THREDS", "2")
    assert main(["serve"]) == 2
    assert "unknown setting HUMANPARSE_THREDS" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["serve", "--port", "65536"], ["serve", "--port", "x"], ["bench", "--requests", "0"], ["parse", "x"], []],
)
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(["--version"])
    assert info.value.code == 0
    assert capsys.readouterr().out.split() == ["humanparse", metadata.version("humanparse")]


def test_ctrl_c_while_loading_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, png: bytes
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "a.png").write_bytes(png)
    monkeypatch.setattr("service.cli.read_bundle", interrupted)
    assert main(["parse", str(tmp_path / "a.png"), "--out", str(tmp_path)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "humanparse: interrupted"


def test_bench_of_a_broken_image_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x")
    assert main(["bench", "--image", str(tmp_path / "a.jpg")]) == 1
    assert "a.jpg" in capsys.readouterr().err.splitlines()[-1]
