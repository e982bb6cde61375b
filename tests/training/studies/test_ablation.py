from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import read_checkpoint
from model.config import ModelConfig
from model.network import Network
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.__main__ import main
from training.config.recipes import ABLATIONS, smoke
from training.data.datasets.folders import FolderDataset
from training.studies.ablation import FIELD, field_error, plan, tables


def test_rows_that_train_alike_share_a_run() -> None:
    runs = plan(smoke(), list(ABLATIONS), [0, 1])
    first = [run.rows for run in runs if run.config.seed == 0]
    assert first == [
        ("table4_direct",),
        ("table4_coarse_to_fine",),
        ("table4_residual",),
        ("table4_warped", "table5_differentiable"),
        ("table5_greedy_joint", "table5_greedy", "table5_unlearnt"),
    ]
    assert [run.rows for run in runs if run.config.seed == 1] == first
    assert len({run.name for run in runs}) == len(runs) == 10
    for run in runs:
        assert replace(run.config, seed=0, model=smoke().model, stages=smoke().stages) == smoke()


def test_the_command_trains_and_measures_each_run_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = [draw_figures(DENSEPOSE_COCO, (64, 64), people=2, seed=seed) for seed in range(12)]
    data, out = write_folder(tmp_path / "data", samples, DENSEPOSE_COCO), tmp_path / "out"
    small = ["input_size=64,64", "batch_size=2", "model.backbone=resnet18", "model.hidden_dim=16", "num_workers=0"]
    command = ["ablate", "smoke", str(data), "--test-data", str(data), "--out", str(out), "--steps", "2"]
    rows = ["--rows", "table4_direct", "table5_greedy_joint", "table5_greedy"]
    assert main([*command, *rows, "--set", *small]) == 0
    text = capsys.readouterr().out
    for row in rows[1:]:
        assert text.count(f"`{row}`") == 2
    assert sorted(folder.name for folder in out.iterdir()) == ["table4_direct-0", "table5_greedy-0"]
    metrics = json.loads((out / "table5_greedy-0/metrics.json").read_text())
    assert set(metrics) == {"table5_greedy_joint", "table5_greedy"}
    for sets in metrics.values():
        assert list(sets) == ["1 held-out images", "12 images of data"]
        assert all(values[FIELD] > 0 for values in sets.values())
    written = (out / "table4_direct-0/last.ckpt").stat().st_mtime_ns
    assert main([*command, *rows, "--set", *small]) == 0
    assert (out / "table4_direct-0/last.ckpt").stat().st_mtime_ns == written
    assert read_checkpoint(out / "table4_direct-0/last.ckpt")["model_config"]["projection"] == "direct"


def test_tables_give_the_metric_of_each_seed(tmp_path: Path) -> None:
    for seed, value in enumerate((0.25, 0.5)):
        columns = ("mIoU", "APp50", "APpvol", "PCP50", "mAPpose", "pose AP50", "mask IoU")
        values = {**dict.fromkeys(columns, value), FIELD: None}
        folder = tmp_path / f"table4_warped-{seed}"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps({"table4_warped": {"images": values}}))
    line = next(line for line in tables(tmp_path).splitlines() if "`table4_warped`" in line)
    assert line.split("| ")[3].strip() == "2"
    assert line.count("0.2500 / 0.5000") == 7
    assert line.endswith("| - / - |")


def test_the_field_error_is_the_distance_to_the_label_in_canvas_pixels(tmp_path: Path) -> None:
    """A network whose field is zero is wrong by the length of the labels."""
    sample = draw_figures(DENSEPOSE_COCO, (64, 64), people=1, seed=1)
    dataset = FolderDataset([write_folder(tmp_path, [sample], DENSEPOSE_COCO)], DENSEPOSE_COCO)
    network = Network(ModelConfig(backbone="resnet18", hidden_dim=16))
    with torch.no_grad():
        for heads in (network.projection.coarsest, *network.projection.finer):
            heads.vector.weight.zero_()
            heads.vector.bias.zero_()
    ys, xs = (sample.people[2::4, 2::4] == 1).nonzero()
    joints = sample.keypoints[0][sample.keypoints[0, :, 2] > 0, :2]
    cells = np.stack([4 * xs + 1.5, 4 * ys + 1.5], axis=1)  # [cells, 2], canvas pixels
    lengths = np.linalg.norm(cells[:, None] - joints, axis=2).min(axis=1)
    config = replace(smoke(), input_size=(64, 64))
    error = field_error(network, dataset, [0], config)
    assert error == pytest.approx(lengths.mean(), rel=1e-3)
