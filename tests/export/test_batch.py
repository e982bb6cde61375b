"""The default bundle's graph for batches: the people of each image as if it were alone."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export import batch
from export.__main__ import main
from export.parity import Parity
from model.manifest import BATCH, MANIFEST, read_bundle
from service.settings import DEFAULT_BUNDLE

pytestmark = [
    # torch's exporter warns about its own internals.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def test_the_graph_comes_into_the_bundle_and_its_manifest(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["batch", str(bundle)]) == 0
    said = capsys.readouterr().out
    assert "in a batch: agrees with parser.onnx on one image at a time on 6 inputs with" in said
    assert int(said.partition(" inputs with ")[2].split()[0]) >= 6  # the sample and its mirror image
    assert BATCH in read_bundle(bundle).sha256
    for output in onnx.load(bundle / BATCH).graph.output:
        assert output.type.tensor_type.shape.dim[0].dim_param  # free: the service batches


def test_a_graph_with_other_people_is_not_written(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(batch, "batch_graph", lambda *_: onnx.ModelProto())
    monkeypatch.setattr(batch, "compare_batch", lambda *_: Parity("in a batch", 6, 8, 0.9, 0.0, 0.0, True))
    assert main(["batch", str(bundle)]) == 1
    assert "is not written: another version exported the bundle" in capsys.readouterr().err
    assert BATCH not in read_bundle(bundle).sha256
    assert not (bundle / BATCH).exists()


def test_a_bundle_that_sees_a_canvas_twice_is_refused(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = replace(read_bundle(bundle), views={"high": 2})
    (bundle / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    assert main(["batch", str(bundle)]) == 2
    assert "sees a canvas twice at high" in capsys.readouterr().err
