from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from export import __main__ as command
from export.bundle import write_bundle
from model.checkpoint import CheckpointError, save_checkpoint
from model.config import DecoderConfig, ModelConfig
from model.manifest import read_bundle
from model.network import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

SMALL = DecoderConfig(max_candidates=4, max_people=4, matcher_outer=2)  # few loops to trace


def test_a_checkpoint_becomes_a_bundle_that_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    config = ModelConfig(backbone="resnet18", hidden_dim=16)
    checkpoint, card, accuracy = tmp_path / "last.ckpt", tmp_path / "card.md", tmp_path / "accuracy.json"
    save_checkpoint(checkpoint, Network(config).state_dict(), config, SMALL)
    card.write_text("# Card\n")
    accuracy.write_text(json.dumps({"keypoints": {"AP": 0.25}}))
    sample = tmp_path / "image.jpg"
    Image.fromarray(skimage.data.astronaut()).save(sample)
    status = command.main(
        [
            str(checkpoint), str(tmp_path / "bundle"), "--card", str(card), "--data", "none", "--weights-licence",
            "Apache-2.0", "--version", "7", "--sample", str(sample), "--accuracy", str(accuracy),
            "--decoder", "keypoint_threshold=0.5",
        ]
    )  # fmt: skip
    assert status == 0
    assert capsys.readouterr().out.count("agrees with torch") == 2
    manifest = read_bundle(tmp_path / "bundle")
    assert (manifest.version, manifest.model, manifest.decoder.keypoint_threshold) == ("7", config, 0.5)
    assert manifest.accuracy == {"keypoints": {"AP": 0.25}}
    assert set(manifest.sha256) == {"parser.onnx", "MODEL_CARD.md", "sample.jpg", "golden.npz"}
    with np.load(tmp_path / "bundle" / "golden.npz") as golden:
        assert golden["fast_image"].shape == (256, 256, 3)
        assert golden["high_part_map"].shape == (512, 512)
        assert not [name for name in golden if name.startswith("finest")]  # united from two others
    assert (manifest.views, manifest.scales) == ({}, {"finest": ("fast", "high")})
    assert (tmp_path / "bundle" / "MODEL_CARD.md").read_text() == "# Card\n"


def test_parity_is_the_services(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert command.main(["parity", str(tmp_path / "none")]) == 1
    assert "none is not a bundle" in capfd.readouterr().err


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x80\x02cos\nsystem\n."])
def test_what_is_no_checkpoint_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    bad = tmp_path / "bad.ckpt"
    bad.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.ckpt"):
        write_bundle(
            bad, tmp_path / "b", name="", version="", data="", weights_licence="", accuracy={}, card=bad, sample=bad,
            decoder=[],
        )  # fmt: skip


def test_the_counts_by_licence_of_a_checkpoint_come_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("export.bundle.write_graph", lambda parser, path: path.touch())
    monkeypatch.setattr("export.bundle.write_golden", lambda parser, sample, path: path.touch())
    config, card = ModelConfig(backbone="resnet18", hidden_dim=16), tmp_path / "card.md"
    card.touch()
    weights = Network(config).state_dict()
    for name, record in (("new", {"by": 3, "unknown": 1}), ("old", {})):
        path = tmp_path / f"{name}.ckpt"
        save_checkpoint(path, weights, config, DecoderConfig(), **({"data_licenses": record} if record else {}))
        write_bundle(
            path, tmp_path / name, name="", version="", data="", weights_licence="", accuracy={}, card=card,
            sample=card, decoder=[],
        )  # fmt: skip
        assert read_bundle(tmp_path / name).data_licenses == record
