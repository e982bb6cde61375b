from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from model.config import ModelConfig
from model.errors import InputError
from model.network import Network
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures, write_folder
from training.__main__ import main
from training.commands import ablate as command
from training.config.recipes import smoke
from training.config.train_config import TrainConfig
from training.data.datasets.open import open_split
from training.data.samples import DatasetError
from training.studies import variant_runs, variants
from training.studies.variant_runs import COLUMNS, network_milliseconds, seconds_per_step, variant_tables
from training.studies.variants import Budget, Variant, read_variants
from training.transforms.training_set import TrainingSet

SMALL = ["input_size=64,64", "batch_size=2", "model.backbone=resnet18", "model.hidden_dim=16", "num_workers=0"]
TWO = """
[narrow]
description = "half as wide"
set = ["model.hidden_dim=8", "ema_decay=0"]
[turned]
description = "turned further"
set = ["rotation=30"]
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    samples = [draw_figures(DENSEPOSE_COCO, (64, 64), people=2, seed=seed) for seed in range(12)]
    return write_folder(tmp_path_factory.mktemp("variants") / "data", samples, DENSEPOSE_COCO)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def ablate(data: Path, file: Path, out: Path, *arguments: str) -> int:
    base = ["ablate", "smoke", str(data), "--variants", str(file), "--out", str(out), "--set", *SMALL]
    return main([*base, *arguments])


def test_variants_are_trained_and_measured_once(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = write(tmp_path / "two.toml", TWO), tmp_path / "out"
    assert ablate(data, file, out, "--steps", "2", "--seeds", "1") == 0
    text = capsys.readouterr().out
    assert "\n**1 held-out images, at its own canvas**\n" in text
    assert sorted(folder.name for folder in out.iterdir()) == ["narrow-1", "turned-1"]
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert [row.split(" | ")[:3] for row in rows] == [
        ["| `narrow`", "half as wide", "1"],
        ["| `turned`", "turned further", "1"],
    ]
    report = json.loads((out / "narrow-1/metrics.json").read_text())
    assert report["steps"] == 2
    assert report["config"]["model.hidden_dim"] == 8
    values = report["metrics"]["1 held-out images, at its own canvas"]
    assert list(values) == list(COLUMNS)
    network = Network(ModelConfig(backbone="resnet18", hidden_dim=8))
    assert values["parameters, M"] == sum(p.numel() for p in network.parameters()) / 1e6
    assert values["s/step"] > 0

    # On other canvases the same weights are measured.
    write(file, TWO[: TWO.index("[turned]")])
    log = (out / "narrow-1/log.csv").read_text()
    assert ablate(data, file, out, "--steps", "2", "--seeds", "1", "--detail", "fast") == 0
    assert (out / "narrow-1/log.csv").read_text() == log
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if line.startswith("**")] == [
        "**1 held-out images, at its own canvas**",
        "**1 held-out images, at fast**",
    ]

    # Nothing is left to do; another run is not taken for this one.
    def refuse(*_: object) -> None:
        raise RuntimeError("trained again")

    monkeypatch.setattr(variant_runs, "train", refuse)
    assert ablate(data, file, out, "--steps", "2", "--seeds", "1", "--detail", "fast") == 0
    assert text.endswith(capsys.readouterr().out)
    assert ablate(data, file, out, "--steps", "3", "--seeds", "1") == 2
    assert "narrow-1 was trained with another budget" in capsys.readouterr().err
    write(file, '[narrow]\ndescription = "as it is"\nset = ["rotation=20", "ema_decay=0"]\n')
    assert ablate(data, file, out, "--steps", "2", "--seeds", "1") == 2
    assert "narrow-1 was trained with another model.hidden_dim, rotation" in capsys.readouterr().err


def test_a_failing_variant_does_not_stop_the_others(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = []

    def finish(variant: Variant, config: TrainConfig, *_: object) -> None:
        if variant.name == "narrow":
            raise InputError("the loss is nan")
        done.append((variant.name, config.seed))

    monkeypatch.setattr(command, "run_variant", finish)
    assert ablate(data, write(tmp_path / "two.toml", TWO), tmp_path / "out", "--seeds", "0", "1") == 2
    assert done == [("turned", 0), ("turned", 1)]
    assert capsys.readouterr().err.splitlines() == [f"variant narrow, seed {seed}: the loss is nan" for seed in (0, 1)]


def speed(together: float, **others: float) -> Callable[..., dict[str, Any]]:
    return lambda *_: {"images_per_second": {"together": together, **others}}


def test_minutes_become_steps(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, training, _ = open_split([data], DENSEPOSE_COCO)
    config = smoke()  # 16 steps, and 4 with the matching loss; 4 images a step
    samples = TrainingSet(dataset, training, config)
    assert Budget().plan(config, samples) == 20
    assert Budget(steps=7).plan(config, samples) == 7
    monkeypatch.setattr(variants, "measure_speed", speed(4.0, step=8.0, step_matching=4.0))
    # 1 s a step, and 0.5 s more in a fifth of the steps.
    assert Budget(minutes=1.11).plan(config, samples) == 60
    assert Budget(minutes=1e-9).plan(config, samples) == 2


def test_a_plan_outlives_a_kill_and_serves_all_seeds(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = write(tmp_path / "one.toml", '[one]\ndescription = "as it is"\n'), tmp_path / "out"
    planned = []

    def killed(*arguments: object) -> None:
        planned.append(arguments[-1])
        raise KeyboardInterrupt

    monkeypatch.setattr(variant_runs, "train", killed)
    for seed, images_per_second in ((0, 2.0), (0, 1.0), (1, 1.0)):
        monkeypatch.setattr(variants, "measure_speed", speed(images_per_second, step=2.0, step_matching=2.0))
        with pytest.raises(KeyboardInterrupt):
            ablate(data, file, out, "--minutes", "0.05", "--seeds", str(seed))
    assert planned == [3, 3, 3]


def test_a_variant_starts_from_its_weights(data: Path, tmp_path: Path) -> None:
    public = tmp_path / "backbone.pth"
    torch.save({}, public)
    text = '[same]\ndescription = ""\n[other]\ndescription = ""\nset = ["model.backbone=resnet50"]\n'
    text += (
        '[own]\ndescription = ""\npretrained = "backbone.pth"\n[later]\ndescription = ""\nweights = "backbone.pth"\n'
    )
    given = tmp_path / "given.pth"
    found = read_variants(write(tmp_path / "four.toml", text), smoke(), given)
    assert [variant.pretrained for variant in found] == [given, None, public, None]
    assert [variant.weights for variant in found] == [None, None, None, public]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no variant"),
        ("[a", "cannot be read"),
        ('["a/b"]\ndescription = ""', "'a/b' cannot name a folder"),
        ('[table4_direct]\ndescription = ""', "'table4_direct' cannot name"),
        ("a = 1", "a stands outside of a table"),
        ("[a]", "variant a: description"),
        ('[a]\ndescription = ""\nsets = []', "variant a: sets"),
        ('[a]\ndescription = ""\nset = "x=1"', "variant a: set"),
        ('[a]\ndescription = ""\nset = [1]', "variant a: set"),
        ('[a]\ndescription = ""\nset = ["x=1"]', "variant a: cannot set 'x=1'"),
        ('[a]\ndescription = ""\nset = ["model.taxonomy=mhp_v2"]', "variant a: its parts are not the recipe's"),
        ('[a]\ndescription = ""\nweights = "none.ckpt"', "there is no"),
    ],
)
def test_an_invalid_variant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises((ValueError, DatasetError)) as error:
        read_variants(write(tmp_path / "wrong.toml", text), smoke())
    assert message in str(error.value)


def test_table_rows_refuse_minutes(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ablate", "smoke", str(data), "--out", str(tmp_path), "--minutes", "1"]) == 2
    assert "rows of the tables take equal steps" in capsys.readouterr().err


def test_cells_give_the_mean_and_each_seed(tmp_path: Path) -> None:
    file = write(tmp_path / "two.toml", TWO)
    for seed, value, key in ((10, 0.5, "metrics"), (2, 0.25, "figures")):  # the key's name in version 0.1
        metrics = {"images": {**dict.fromkeys(COLUMNS, value), "AP": None, "mIoU": 0.125}}
        folder = tmp_path / f"narrow-{seed}"
        folder.mkdir()
        (folder / "metrics.json").write_text(json.dumps({"variant": "narrow", "seed": seed, key: metrics}))
    lines = variant_tables(tmp_path, read_variants(file, smoke())).splitlines()
    line = next(line for line in lines if "narrow" in line)
    cells = dict(zip(("name", "description", "seeds", *COLUMNS), line.strip("| ").split(" | "), strict=True))
    assert cells["AP"] == "-"
    assert cells["mIoU"] == "0.125"
    assert cells["AP50"] == "0.375 (0.250, 0.500)"


def test_seconds_per_step_are_averaged_over_all_steps(tmp_path: Path) -> None:
    with (tmp_path / "log.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["step", "seconds"])
        writer.writeheader()
        writer.writerows([{"step": 20, "seconds": 10}, {"step": 40, "seconds": 30}, {"step": 50, "seconds": 10}])
    assert seconds_per_step(tmp_path / "log.csv") == 1.0


def test_network_milliseconds_are_positive() -> None:
    assert network_milliseconds(Network(ModelConfig(backbone="resnet18", hidden_dim=8)), (64, 64)) > 0
