"""The network of the default bundle in int8, and what is refused."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import skimage.data
from PIL import Image

from export.int8 import CONVOLUTIONS, kept_in_float, main, poses_of_backbone
from model.manifest import GRAPH, INT8, read_bundle
from model.openvino import core, ov, split_model
from service.parsing.self_check import check_golden, read_golden
from service.runtimes.choice import open_backend
from service.settings import DEFAULT_BUNDLE, load_settings


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for i in range(10):
        Image.fromarray(skimage.data.astronaut()[i * 10 : i * 10 + 160, 100:340]).save(folder / f"{i}.png")
    return folder


def test_maps_the_backbone_and_all_but_convolutions_stay_in_float() -> None:
    manifest = read_bundle(DEFAULT_BUNDLE)
    network, _ = split_model(core.read_model(DEFAULT_BUNDLE / GRAPH), manifest.decoder_inputs)
    poses = poses_of_backbone(DEFAULT_BUNDLE, manifest)
    kept, kept_without = set(kept_in_float(network, poses)), set(kept_in_float(network))
    counts = {"maps": 0, "backbone": 0, "features": 0}
    for op in network.get_ordered_ops():
        name = op.get_friendly_name()
        if op.get_type_name() not in CONVOLUTIONS:
            assert op.get_type_name() not in ("Add", "GridSample", "Interpolate") or name in kept_without
            continue
        of_a_map = op.get_output_partial_shape(0)[1].get_length() in (1, 2, 15, 17, 20, 34)
        of_backbone = name.partition("/")[0] in poses
        counts["maps" if of_a_map else "backbone" if of_backbone else "features"] += 1
        assert (name in kept_without) == of_a_map
        assert (name in kept) == (of_a_map or of_backbone)
    assert counts == {"maps": 27, "backbone": 70, "features": 53}


@pytest.mark.filterwarnings("ignore")  # NNCF's own
def test_the_service_runs_what_was_calibrated(images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("nncf", reason="needs the extra int8")
    bundle = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, bundle)
    assert main([str(bundle), "--images", str(images)]) == 0
    said = capsys.readouterr().out
    assert "calibrated on 9 images" in said
    assert "On 1 other images, against f32" in said
    manifest = read_bundle(bundle)  # with the sums of the new files
    assert {INT8, Path(INT8).with_suffix(".bin").name} <= set(manifest.sha256)
    weights = [op for op in core.read_model(bundle / INT8).get_ordered_ops() if op.get_type_name() == "Constant"]
    assert sum(op.get_element_type() == ov.Type.i8 for op in weights) > 30  # of 53
    backend = open_backend("openvino", bundle, manifest, "int8", load_settings({}))
    assert backend.precision == "int8"
    golden = read_golden(bundle, "fast")
    assert golden
    check_golden(backend, golden, manifest, "fast")

    assert main([str(bundle), "--images", str(images)]) == 2
    assert f"has {INT8} already: export the bundle again" in capsys.readouterr().err


def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    assert main([str(DEFAULT_BUNDLE), "--images", str(tmp_path)]) == 2
    assert "pip install 'humanparse[int8]'" in capsys.readouterr().err
    monkeypatch.setattr("export.int8._nncf", lambda: None)
    assert main([str(DEFAULT_BUNDLE), "--images", str(tmp_path)]) == 2
    assert "has 0 images" in capsys.readouterr().err
