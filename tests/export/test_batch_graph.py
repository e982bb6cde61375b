"""The default bundle's graph for batches, and in TensorRT's form: the same people, operators that TensorRT has."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export import batch, tensorrt
from export import batch_graph as module
from export.__main__ import main
from export.batch_graph import PREFIX, batch_graph, decoder_graph
from export.half_precision import HALF, PRODUCTS
from export.parity import Parity
from export.tensorrt import build, write_engine
from model.agreement import compare, summary
from model.decoder.decode import Decoder, People
from model.manifest import BATCH, GOLDEN, GRAPH, MANIFEST, read_bundle
from model.maps import HeadMaps
from model.onnxruntime import ort
from model.raw_prediction import RawPrediction
from service.parsing.self_check import AGREEMENT
from service.settings import DEFAULT_BUNDLE

# Of docs/operators.md in onnx-tensorrt (Apache-2.0), those not supported that a decoder might be traced to.
UNSUPPORTED = {"BitShift", "Compress", "OneHot", "Unique", "Det", "MaxUnpool", "SequenceAt", "SequenceConstruct"}
DATA_DEPENDENT = {"NonZero", "NonMaxSuppression", "If", "Loop", "Scan"}
MOST_OF_TOPK = 3840

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def decoder() -> ModelProto:
    """With dense votes. All tests share this trace, which takes longer than they."""
    return decoder_graph(read_bundle(DEFAULT_BUNDLE), "tent")


@pytest.fixture(scope="module")
def graphs(decoder: ModelProto) -> dict[str, ModelProto]:
    """By precision."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "decoder_graph", lambda *_: decoder)
        return {precision: batch_graph(DEFAULT_BUNDLE, "tent", precision) for precision in ("f32", *HALF)}


@pytest.fixture
def graph(graphs: dict[str, ModelProto]) -> ModelProto:
    return graphs["f32"]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def people(graph: ModelProto, image: np.ndarray) -> RawPrediction:
    tensors = ort.InferenceSession(graph.SerializeToString()).run(People._fields, {"image": image[None]})
    return RawPrediction.first_of(dict(zip(People._fields, tensors, strict=True)))


def test_its_people_are_the_decoders(graph: ModelProto) -> None:
    """On the maps of the bundle's network, the decoder with scattered votes finds the same."""
    manifest = read_bundle(DEFAULT_BUNDLE)
    with np.load(DEFAULT_BUNDLE / GOLDEN) as golden:
        image = golden["fast_image"][None]
    network = onnx.load(DEFAULT_BUNDLE / GRAPH)
    network.graph.output.extend(onnx.ValueInfoProto(name=name) for name in manifest.decoder_inputs)
    maps = ort.InferenceSession(network.SerializeToString()).run(HeadMaps._fields, {"image": image})
    assert manifest.decoder_inputs == HeadMaps._fields
    with torch.inference_mode():
        expected = Decoder(manifest.taxonomy, manifest.decoder)(HeadMaps(*map(torch.from_numpy, maps)))
    found = ort.InferenceSession(graph.SerializeToString()).run(People._fields, {"image": image})
    for name, one, other in zip(People._fields, expected, found, strict=True):
        assert other.dtype == one.numpy().dtype
        np.testing.assert_allclose(other, one.numpy(), rtol=0, atol=1e-3, err_msg=name)
    assert expected.person_map.max() >= 3  # else nothing was compared


def test_it_has_only_operators_that_tensorrt_has(graph: ModelProto) -> None:
    nodes = graph.graph.node
    assert not {node.op_type for node in nodes} & (UNSUPPORTED | DATA_DEPENDENT)
    for node in nodes:
        if node.op_type.startswith("Scatter"):
            assert not [a for a in node.attribute if a.name == "reduction" and a.s != b"none"], node.name
    values = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
    sizes = [int(values[node.input[1]].item()) for node in nodes if node.op_type == "TopK"]
    assert sizes
    assert max(sizes) <= MOST_OF_TOPK


def test_bytes_are_read_and_written_by_casts_alone(graph: ModelProto) -> None:
    assert {node.op_type for node in graph.graph.node if "image" in node.input} <= {"Cast", "Shape"}
    written = {
        name
        for node in graph.graph.node
        if node.op_type == "Cast" and helper.get_node_attr_value(node, "to") == TensorProto.UINT8
        for name in node.output
    }
    assert written == {"part_map", "person_map"}
    assert not [i.name for i in graph.graph.initializer if i.data_type == TensorProto.UINT8]


def test_in_half_precision_its_people_are_the_same(graphs: dict[str, ModelProto]) -> None:
    with np.load(DEFAULT_BUNDLE / GOLDEN) as golden:
        image = golden["fast_image"]
    expected, found = people(graphs["f32"], image), people(graphs["fp16"], image)
    far = summary([compare(expected, found)])
    assert far["people"]["matched"] >= 3
    assert (far["people"]["missed"], far["people"]["extra"]) == (0, 0)
    assert min(far["same_part"], far["same_person"]) > AGREEMENT
    assert far["keypoints"]["mean_px"] > 0  # else nothing was rounded


@pytest.mark.parametrize("precision", HALF)
def test_products_are_lowered_and_coordinates_and_the_decoder_are_not(
    graphs: dict[str, ModelProto], precision: str
) -> None:
    graph = onnx.shape_inference.infer_shapes(graphs[precision]).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    kinds |= {initializer.name: initializer.data_type for initializer in graph.initializer}
    counted = Counter[str]()
    for node in graph.node:
        found = {kinds[name] for name in (*node.input, *node.output) if kinds.get(name) in (1, HALF[precision])}
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        if node.name.startswith(PREFIX) or node.op_type == "GridSample":
            assert found <= {TensorProto.FLOAT}, node.name
        elif node.op_type in PRODUCTS and not grouped:
            assert found == {HALF[precision]}, node.name
        counted[node.op_type] += HALF[precision] in found
    assert counted["Conv"] > 100


def test_an_engine_is_for_one_gpu_tensorrt_graph_and_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle")
    built: list[object] = []

    def remember(*arguments: object) -> bytes:
        built.append(arguments)
        return b"engine"

    monkeypatch.setattr(tensorrt, "batch_graph", lambda *_: ModelProto())
    monkeypatch.setattr(tensorrt, "build", remember)
    names = []
    for gpu, version, images, precision in (
        ("NVIDIA H100", "10.9.0", 1, "fp16"),
        ("NVIDIA H100", "10.9.0", 1, "fp16"),
        ("NVIDIA L4", "10.9.0", 1, "fp16"),
        ("NVIDIA L4", "11.4.0", 1, "fp16"),
        ("NVIDIA L4", "11.4.0", 8, "fp16"),
        ("NVIDIA L4", "11.4.0", 8, "f32"),
    ):
        monkeypatch.setattr(tensorrt, "gpu_name", lambda gpu=gpu: gpu)
        monkeypatch.setattr(tensorrt, "_tensorrt", lambda version=version: SimpleNamespace(__version__=version))
        names.append(write_engine(bundle, images, precision))
    assert names[0] == names[1]  # kept
    assert len(set(names)) == len(built) == 5
    ending = read_bundle(DEFAULT_BUNDLE).engine_ending("f32")
    assert names[-1].name == f"NVIDIA-L4-trt11.4.0-batch8{ending}"


def test_the_graph_for_batches_comes_into_the_bundle_and_its_manifest(
    bundle: Path, decoder: ModelProto, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "decoder_graph", lambda *_: decoder)
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


@pytest.mark.parametrize("precision", HALF)
def test_tensorrt_rtx_parses_it_and_builds_an_engine(
    graphs: dict[str, ModelProto], precision: str, tmp_path: Path
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="pip install 'humanparse[tensorrt-check]' for this test")
    onnx.save(graphs[precision], tmp_path / "parser.onnx")
    assert len(build(trt, tmp_path / "parser.onnx", [((64, 64), (96, 128), (128, 128))], batch=1)) > 1e6
