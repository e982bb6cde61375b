"""A run restricted to licenses, what its checkpoint says, and what a resumed run keeps to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from model.checkpoint import read_checkpoint
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.__main__ import main

SMALL = ("input_size=64,64", "batch_size=2", "model.hidden_dim=16", "num_val_images=0", "optimizer=sgd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [draw_figures(DENSEPOSE_COCO, (96, 128), people=2, seed=seed) for seed in range(6)]
    fields = [{"license_id": 4}, {"license_id": 4}, {"license_id": 5}, {"license_id": 1}, {}, {"license": "private"}]
    return write_folder(tmp_path_factory.mktemp("images"), samples, DENSEPOSE_COCO, fields=fields)


def train(folder: Path, run: Path, *options: str, steps: int = 3) -> int:
    return main(["train", "smoke", str(folder), "--out", str(run), "--steps", str(steps), *options, "--set", *SMALL])


def record(run: Path) -> tuple[Any, Any]:
    value = read_checkpoint(run / "last.ckpt")
    return value["licenses"], value["data_licenses"]


def test_a_restricted_run_records_its_licenses_and_resumes_with_them(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, tmp_path, "--licenses", "by-sa,by") == 0
    out = capsys.readouterr().out
    assert "3 images to train on, 0 held out" in out
    assert "under by, by-sa; 1 images with other licenses and 2 without a known one are left out" in out
    assert record(tmp_path) == (["by", "by-sa"], {"by": 2, "by-sa": 1})
    assert train(folder, tmp_path, "--licenses", "by,by-sa") == 0  # the same in another order
    for other in ([], ["--licenses", "by"]):
        assert train(folder, tmp_path, *other) == 2
        assert "was trained with another licenses; choose another --out folder" in capsys.readouterr().err


def test_an_open_run_counts_all_and_is_not_resumed_as_a_restricted_one(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, tmp_path) == 0
    assert record(tmp_path) == ([], {"by": 2, "unknown": 2, "by-sa": 1, "by-nc-sa": 1})
    assert train(folder, tmp_path, "--licenses", "by") == 2
    assert "another licenses" in capsys.readouterr().err
    value = read_checkpoint(tmp_path / "last.ckpt")  # as it was written before licenses were recorded
    del value["licenses"], value["data_licenses"], value["identity"]["licenses"]
    torch.save(value, tmp_path / "last.ckpt")
    assert train(folder, tmp_path) == 0
    assert train(folder, tmp_path, "--licenses", "by") == 2


def test_licenses_of_initial_weights_are_counted_and_warned_about(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, tmp_path / "open") == 0
    assert train(folder, tmp_path / "by", "--licenses", "by") == 0
    assert "restricts this run alone" not in capsys.readouterr().err
    for first, counts, warned in (
        ("open", {"by": 2, "unknown": 2, "by-sa": 1, "by-nc-sa": 1}, True),
        ("by", {"by": 2, "by-sa": 1}, False),
    ):
        start = str(tmp_path / first / "last.ckpt")
        assert train(folder, tmp_path / f"on-{first}", "--weights", start, "--licenses", "by,by-sa") == 0
        assert record(tmp_path / f"on-{first}") == (["by", "by-sa"], counts)
        assert ("--licenses restricts this run alone" in capsys.readouterr().err) is warned


@pytest.mark.parametrize(
    ("licenses", "message"),
    [
        ("by,gpl", "gpl: no such license; choose from by, by-sa, by-nd"),
        ("us-government", "no image to train on is under us-government: 4 images with other licenses and 2 without"),
    ],
)
def test_nothing_to_train_on_is_an_error(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str], licenses: str, message: str
) -> None:
    assert train(folder, tmp_path / "run", "--licenses", licenses) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
