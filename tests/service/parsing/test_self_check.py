"""What a backend must keep and compute before it serves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.manifest import GOLDEN, GRAPH, read_bundle
from model.raw_prediction import RawPrediction
from service.parsing.loading import load_parser
from service.parsing.self_check import check_contract, check_golden, read_golden
from service.runtimes.openvino import OpenVinoBackend
from service.runtimes.types import Backend, BackendError
from service.settings import Settings
from tests.bundles import figure_bundle, write_manifest


def outputs(bundle: Path) -> RawPrediction:
    return OpenVinoBackend(bundle / GRAPH).infer(np.zeros((64, 96, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": np.zeros((4, 17, 3), np.float32)}, r"keypoints is float32 \(4, 17, 3\), .* \(4, 14, 3\)"),
        ({"part_map": np.zeros((64, 96), np.int32)}, "part_map is int32"),
        ({"part_map": np.full((64, 96), 7, np.uint8)}, "beyond the manifest"),
        ({"person_map": np.full((64, 96), 5, np.uint8)}, "beyond the manifest"),
    ],
)
def test_a_broken_contract(bundle: Path, change: dict[str, np.ndarray], message: str) -> None:
    manifest, good = read_bundle(bundle), outputs(bundle)
    check_contract(good, (64, 96), manifest)
    with pytest.raises(BackendError, match=message):
        check_contract(good._replace(**change), (64, 96), manifest)


def test_a_backend_that_computes_something_else_is_refused(tmp_path: Path, settings: Settings) -> None:
    figure_bundle(tmp_path)
    with np.load(tmp_path / GOLDEN) as file:
        golden = dict(file)
    person_map = golden["high_person_map"]
    person_map[:, : person_map.shape[1] // 8] += 1  # a sliver of one person goes to another
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    with pytest.raises(BackendError, match=r"computes another person_map than the bundle promises .*% of the pixels"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


def test_another_level_is_checked_before_its_first_answer(tmp_path: Path, settings: Settings, png: bytes) -> None:
    figure_bundle(tmp_path)
    with np.load(tmp_path / GOLDEN) as file:
        golden = dict(file)
    golden["standard_part_map"][:] = 1
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    parser = load_parser(settings.model_copy(update={"bundle": tmp_path}))
    assert parser.infer(parser.prepare(png)).detail == "high"
    for _ in range(2):
        with pytest.raises(BackendError, match="another part_map than the bundle promises"):
            parser.infer(parser.prepare(png, "standard"))


def test_people_may_come_in_another_order_than_the_bundle_promises(tmp_path: Path, settings: Settings) -> None:
    """Of people with equal scores rounding decides who comes first."""
    figure_bundle(tmp_path)
    with np.load(tmp_path / GOLDEN) as file:
        golden = dict(file)
    assert set(np.unique(golden["high_person_map"])) == {0, 1, 2}
    golden["high_person_map"] = np.array([0, 2, 1], np.uint8)[golden["high_person_map"]]
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    assert load_parser(settings.model_copy(update={"bundle": tmp_path})).detail == "high"
    golden["high_person_map"][golden["high_person_map"] > 0] = 1  # two people are not one
    np.savez_compressed(tmp_path / GOLDEN, **golden)
    write_manifest(tmp_path)
    with pytest.raises(BackendError, match="another person_map"):
        load_parser(settings.model_copy(update={"bundle": tmp_path}))


def test_a_bundle_may_lack_golden_maps(bundle: Path, tmp_path: Path) -> None:
    backend, manifest = OpenVinoBackend(bundle / GRAPH), read_bundle(bundle)
    assert read_golden(tmp_path, "fast") is None
    assert read_golden(bundle, "unheard-of") is None
    check_golden(backend, read_golden(bundle, "fast"), manifest, "fast")


class Mixing:
    """Gives each image of a batch what belongs to its neighbour."""

    name, precision, parallel, max_batch = "gpu", "fp16", 1, 2

    def __init__(self, backend: Backend) -> None:
        self.infer = backend.infer

    def infer_batch(self, canvases: np.ndarray) -> list[RawPrediction]:
        return [self.infer(canvas) for canvas in canvases[::-1]]


def test_a_runtime_that_mixes_the_images_of_a_batch_is_refused(bundle: Path) -> None:
    with pytest.raises(BackendError, match="computes another part_map in a batch than the bundle promises"):
        check_golden(Mixing(OpenVinoBackend(bundle / GRAPH)), read_golden(bundle, "fast"), read_bundle(bundle), "fast")
