"""The network in int8 of a small random parser, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from export.int8 import CONVOLUTIONS, kept_in_float, main
from export.onnx_graph import write_graph
from model.config import DecoderConfig, ModelConfig
from model.manifest import GRAPH, INT8, MANIFEST, Manifest, read_bundle, sha256_of
from model.maps import HeadMaps, decoder_inputs
from model.network import Network
from model.openvino import Halves, ov, split_model
from model.parser import HumanParser
from model.taxonomy import DENSEPOSE_COCO
from service.runtimes.choice import open_backend
from service.settings import load_settings

CONFIG = ModelConfig(backbone_blocks=4, hidden_dim=48, refinement_dim=0)  # wider than the widest map, 34
DECODER = DecoderConfig(max_candidates=4, max_people=4, matcher_outer=2, center_weight=0.5)  # few loops to trace

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle")
    write_graph(HumanParser(Network(CONFIG), DECODER).eval(), folder / GRAPH)
    manifest = Manifest(
        name="random", version="1", taxonomy=DENSEPOSE_COCO, model=CONFIG, decoder=DECODER,
        canvases={"fast": ((64, 96), (96, 64))}, decoder_inputs=decoder_inputs(DECODER), data="", weights_licence="",
        sha256={GRAPH: sha256_of(folder / GRAPH)},
    )  # fmt: skip
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(10):
        Image.fromarray(skimage.data.astronaut()[i * 10 : i * 10 + 160, 100:340]).save(folder / f"{i}.png")
    return folder


def test_maps_and_all_but_convolutions_stay_in_float(bundle: Path) -> None:
    network, _ = split_model(ov.Core().read_model(bundle / GRAPH), HeadMaps._fields)
    kept = set(kept_in_float(network))
    for op in network.get_ordered_ops():
        channels = op.get_output_partial_shape(0)[1].get_length() if op.get_type_name() in CONVOLUTIONS else None
        if channels in (1, 2, 15, 17, 20, 34):
            assert op.get_friendly_name() in kept
        elif channels is not None:
            assert op.get_friendly_name() not in kept
        elif op.get_type_name() in ("Add", "GridSample", "Interpolate"):
            assert op.get_friendly_name() in kept


def test_a_backbone_that_was_named_stays_in_float(bundle: Path) -> None:
    network, _ = split_model(ov.Core().read_model(bundle / GRAPH), HeadMaps._fields)
    first = next(op.get_friendly_name() for op in network.get_ordered_ops() if op.get_type_name() == "Convolution")
    assert first not in kept_in_float(network)
    assert first in kept_in_float(network, {first.partition("/")[0]})


@pytest.mark.filterwarnings("ignore")  # NNCF's own
def test_the_service_runs_what_was_calibrated(bundle: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nncf", reason="needs the extra int8")
    assert main([str(bundle), "--images", str(images)]) == 0
    said = capsys.readouterr().out
    assert "calibrated on 9 images" in said
    assert "On 1 other images, against f32" in said
    manifest = read_bundle(bundle)  # with the sums of the new files
    assert {INT8, Path(INT8).with_suffix(".bin").name} <= set(manifest.sha256)
    weights = [op for op in ov.Core().read_model(bundle / INT8).get_ordered_ops() if op.get_type_name() == "Constant"]
    assert sum(op.get_element_type() == ov.Type.i8 for op in weights) > 10

    canvas = np.asarray(Image.open(images / "0.png").resize((96, 64)))
    one, other = (Halves(bundle / GRAPH, HeadMaps._fields, name).maps(canvas[None]) for name in ("f32", "int8"))
    for name in HeadMaps._fields:
        assert one[name].shape == other[name].shape
        assert not np.array_equal(one[name], other[name])
        apart = np.linalg.norm(one[name] - other[name]) / np.linalg.norm(one[name] - one[name].mean())
        assert apart < 0.5, name
    backend = open_backend("openvino", bundle, manifest, "int8", load_settings({}))
    assert (backend.precision, backend.infer(canvas).part_map.shape) == ("int8", (64, 96))

    assert main([str(bundle), "--images", str(images)]) == 2
    assert f"has {INT8} already: export the bundle again" in capsys.readouterr().err


def test_what_is_missing_is_named(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert main([str(bundle), "--images", str(tmp_path)]) == 2
    assert "pip install 'humanparse[int8]'" in capsys.readouterr().err
    monkeypatch.setattr("export.int8._nncf", lambda: None)
    monkeypatch.setattr("export.int8._unquantized", read_bundle)
    assert main([str(bundle), "--images", str(tmp_path)]) == 2
    assert "has 0 images" in capsys.readouterr().err
