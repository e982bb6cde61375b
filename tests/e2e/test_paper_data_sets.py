"""From a data set in its official layout to a parsed image, by the commands that README and docs name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from export.__main__ import main as export
from model.checkpoint import load_parser
from model.network import RADIUS_CELLS, Network
from model.taxonomy import get_taxonomy
from service.cli import main as humanparse
from tests import miniatures
from tests.figures import draw_figures
from training.__main__ import main as training
from training.engine.initial_weights import load_initial_weights

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SETS = {
    "mhp_v2": miniatures.mhp_v2,
    "densepose_coco": miniatures.densepose_coco,
    "pascal_person_part": miniatures.pascal_person_part,
}
# The paper's recipe but for what makes it take days, and its graph large.
SMALL = [
    "input_size=64,64", "batch_size=2", "model.backbone=resnet18", "model.hidden_dim=16", "precision=float32",
    "num_workers=0",
    "decoder.max_candidates=6", "decoder.max_people=6", "decoder.matcher_outer=2",
]  # fmt: skip


@pytest.mark.parametrize("name", SETS)
def test_two_epochs_then_evaluation_export_and_an_image(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write: Callable[[Path, int, int], Path] = SETS[name]
    data = str(write(tmp_path / "data", 4, 2))
    run, report, bundle = tmp_path / "run", tmp_path / "report.json", tmp_path / "bundle"

    assert training(["train", f"paper_{name}", data, "--out", str(run), "--epochs", "2", "--set", *SMALL]) == 0
    assert "4 images to train on, 2 held out" in capsys.readouterr().out

    assert training(["evaluate", str(run / "last.ckpt"), data, "--json", str(report)]) == 0
    assert "the paper" in capsys.readouterr().out
    metrics = json.loads(report.read_text())
    assert metrics["images"] == 2
    assert 0 < metrics["parts"]["mIoU"] < 1

    card, image = tmp_path / "card.md", tmp_path / "image.png"
    card.write_text("# Two epochs\n")
    size = (96, 96)
    Image.fromarray(draw_figures(get_taxonomy(name), size, people=2).image).save(image)
    about = ["--card", str(card), "--sample", str(image), "--data", "drawn figures", "--weights-licence", "CC0-1.0"]
    assert export([str(run / "last.ckpt"), str(bundle), *about, "--accuracy", str(report)]) == 0
    assert capsys.readouterr().out.count("agrees with torch") == 2

    assert humanparse(["parse", str(image), "--bundle", str(bundle), "--out", str(tmp_path / "parsed")]) == 0
    answer = json.loads(next((tmp_path / "parsed").glob("*.json")).read_text())
    assert (answer["image"]["height"], answer["image"]["width"]) == size

    # A bundle is a start for more training: its network is the checkpoint's again.
    trained = load_parser(run / "last.ckpt").network
    restored = Network(trained.config)
    assert load_initial_weights(restored, bundle) == ""
    canvas = torch.from_numpy(np.asarray(Image.open(image)))[None]
    with torch.inference_mode():
        maps, restored_maps = trained(canvas), restored.eval()(canvas)
        for field, expected, own in zip(maps._fields, maps, restored_maps, strict=True):
            if field in ("center_logits", "regression"):  # the paper's decoder reads neither: they are not exported
                continue
            # The bundle's weights are float16. Vectors are learned in units of up to 16 cells.
            unit = RADIUS_CELLS if field == "offsets" else 1.0
            torch.testing.assert_close(own / unit, expected / unit, rtol=0.01, atol=0.01)
    more = ["train", f"paper_{name}", data, "--out", str(tmp_path / "more"), "--weights", str(bundle), "--steps", "3"]
    assert training([*more, "--set", *SMALL]) == 0
