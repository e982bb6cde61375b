"""The commands, as a user runs them."""

from __future__ import annotations

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


@pytest.mark.parametrize("arguments", [["serve", "--port", "65536"], ["bench", "--requests", "0"], ["parse", "x"], []])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2
