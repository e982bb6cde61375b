from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from model.config import DecoderConfig, ModelConfig
from model.manifest import BundleError, Manifest, read_bundle, sha256_of
from model.taxonomy import DENSEPOSE_COCO


def make_bundle(folder: Path, **changes: Any) -> Manifest:
    (folder / "parser.onnx").write_bytes(b"graph")
    fields: dict[str, Any] = {
        "name": "test",
        "version": "3",
        "taxonomy": DENSEPOSE_COCO,
        "model": ModelConfig(backbone="resnet18"),
        "decoder": DecoderConfig(max_people=5),
        "canvases": {"fast": ((96, 128), (128, 128))},
        "decoder_inputs": ("a", "b"),
        "data": "drawings",
        "weights_licence": "none",
        "sha256": {"parser.onnx": sha256_of(folder / "parser.onnx")},
        "accuracy": {"ap": 0.5},
    }
    manifest = Manifest(**(fields | changes))
    (folder / "manifest.json").write_text(manifest.to_json())
    return manifest


def test_reading_gives_back_what_was_written(tmp_path: Path) -> None:
    assert make_bundle(tmp_path) == read_bundle(tmp_path)


def test_counts_by_licence_are_kept_and_older_manifests_have_none(tmp_path: Path) -> None:
    make_bundle(tmp_path, data_licenses={"by": 2, "unknown": 1})
    assert read_bundle(tmp_path).data_licenses == {"by": 2, "unknown": 1}
    path = tmp_path / "manifest.json"
    value = json.loads(path.read_text())
    del value["data_licenses"]
    path.write_text(json.dumps(value))
    assert read_bundle(tmp_path).data_licenses == {}


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="python -m export"):
        read_bundle(tmp_path)


def test_an_altered_graph_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    (tmp_path / "parser.onnx").write_bytes(b"other")
    with pytest.raises(BundleError, match="sha256"):
        read_bundle(tmp_path)


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path)
    (tmp_path / "parser.onnx").unlink()
    with pytest.raises(BundleError, match="missing"):
        read_bundle(tmp_path)


def test_a_manifest_that_does_not_pin_the_graph_is_refused(tmp_path: Path) -> None:
    make_bundle(tmp_path, sha256={})
    with pytest.raises(BundleError, match=r"lists no parser\.onnx"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"taxonomy": {}}, "damaged"),
        ({"extra": 1}, "damaged"),
        ({"data_licenses": 3}, "damaged"),
    ],
)
def test_a_manifest_of_another_format_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    make_bundle(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message):
        read_bundle(tmp_path)


def test_text_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="damaged"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("views", [{"fast": 3}, {"finest": 2}])
def test_views_are_of_a_level_and_at_most_two(tmp_path: Path, views: dict[str, int]) -> None:
    with pytest.raises(BundleError, match="name a level of detail, and 1 or 2"):
        make_bundle(tmp_path, views=views)


def test_canvases_are_multiples_of_the_coarsest_stride(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="multiples of 32"):
        make_bundle(tmp_path, canvases={"fast": ((100, 128),)})
