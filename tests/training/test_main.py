from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from model.checkpoint import CheckpointError
from model.errors import InputError, UserError
from model.manifest import BundleError
from model.taxonomy import TaxonomyError
from training.__main__ import main
from training.commands import train
from training.data.samples import DatasetError


@pytest.mark.parametrize("kind", [UserError, InputError, CheckpointError, BundleError, DatasetError, TaxonomyError])
def test_error_a_user_can_mend_is_one_line(
    kind: type[UserError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refuse(_: argparse.Namespace) -> int:
        raise kind("photo.jpg is missing: name another")

    monkeypatch.setattr(train, "run", refuse)
    assert main(["train", "smoke", "data", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "python -m training: photo.jpg is missing: name another\n"


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
