from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path

import pytest

from model.checkpoint import CheckpointError
from model.config import apply_overrides
from model.errors import InputError, UserError
from model.manifest import BundleError
from model.taxonomy import TaxonomyError
from training.__main__ import build_parser, main
from training.commands import train
from training.config.recipes import RECIPES
from training.data.samples import DatasetError


@pytest.mark.parametrize("kind", [UserError, InputError, CheckpointError, BundleError, DatasetError, TaxonomyError])
def test_error_a_user_can_mend_is_one_line(
    kind: type[UserError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(_: argparse.Namespace) -> int:
        raise kind("image.jpg is missing: name another")

    monkeypatch.setattr(train, "run", refuse)
    assert main(["train", "smoke", "data", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "python -m training: image.jpg is missing: name another\n"


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError])
def test_bug_keeps_its_traceback(kind: type[Exception], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(_: argparse.Namespace) -> int:
        raise kind("shapes do not match")

    monkeypatch.setattr(train, "run", fail)
    with pytest.raises(kind, match="shapes do not match"):
        main(["train", "smoke", "data", "--out", str(tmp_path)])


@pytest.mark.parametrize("text", ["optimizer=adam", "precision=float16", "decoder.matcher=hungarian"])
def test_misspelt_choice_stops_before_any_data_is_read(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "smoke", str(tmp_path / "none"), "--out", str(tmp_path / "run"), "--set", text]) == 2
    assert f"cannot set {text!r}" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def documented() -> list[str]:
    """The command lines in the code blocks of README and docs/."""
    root = Path(__file__).parents[2]
    found = []
    for document in (root / "README.md", *sorted((root / "docs").rglob("*.md"))):
        for block in re.findall(r"^```\w*\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            lines = block.replace("\\\n", " ").splitlines()
            found += [line.split("training ", 1)[1] for line in lines if "-m training " in line]
    return found


@pytest.mark.parametrize("line", documented())
def test_command_line_of_the_docs_is_one(line: str) -> None:
    recipe = {"RECIPE": "smoke"}
    arguments = [recipe.get(word, word) for word in shlex.split(line, comments=True)]
    chosen = build_parser().parse_args(arguments)
    if getattr(chosen, "set", []):
        apply_overrides(RECIPES[chosen.recipe](), chosen.set)
