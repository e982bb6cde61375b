"""The default bundle in TensorRT's form: the same people, and only operators that TensorRT has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper

from export.tensorrt import build
from export.tensorrt_graph import tensorrt_graph
from model.decoder.decode import Decoder, People
from model.manifest import GOLDEN, GRAPH, read_bundle
from model.maps import HeadMaps
from model.onnxruntime import ort
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
def graph() -> ModelProto:
    return tensorrt_graph(DEFAULT_BUNDLE)


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


def test_tensorrt_rtx_parses_it_and_builds_an_engine(graph: ModelProto, tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="pip install 'humanparse[tensorrt-check]' for this test")
    onnx.save(graph, tmp_path / "parser.onnx")
    assert len(build(trt, tmp_path / "parser.onnx", [((64, 64), (96, 128), (128, 128))], batch=1)) > 1e6
