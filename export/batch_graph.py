"""A bundle's graph for batches of different images, each seen once: `parser.onnx` takes the views of one (TTA).

The decoder has no weights, so it is traced anew and joined to the network of `parser.onnx`. It is this version's: where
another version exported the bundle, their people may differ. With dense votes it is the form that TensorRT takes, which
cannot scatter with addition, and has bytes at inputs and outputs alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper
from onnx.utils import Extractor
from torch import Tensor, nn

from export.half_precision import to_half
from export.onnx_graph import OPSET, TRACE_CANVAS, TRACE_VIEWS
from model.config import CANVAS_MULTIPLE, STRIDE
from model.decoder.decode import Decoder, People
from model.decoder.hough import Vote
from model.errors import InputError
from model.manifest import GRAPH, Manifest, read_bundle
from model.maps import HeadMaps

IMAGE, PREFIX = "image", "decoder/"


def batch_graph(folder: Path, vote: Vote, precision: str = "f32") -> ModelProto:
    """A bundle's graph: uint8 canvases [B, H, W, 3] of any multiple of 32 to `People`.

    TensorRT needs the `vote` "tent"; elsewhere "scatter" takes less time and memory. The `precision` is the network's:
    "f32", "fp16" or "bf16" (`export.half_precision`). The decoder computes in float32.

    Raises BundleError, and InputError for a bundle that sees a canvas twice.
    """
    manifest = read_bundle(folder)
    if twice := [detail for detail in manifest.canvases if manifest.views_at(detail) > 1]:
        raise InputError(
            f"{folder} sees a canvas twice at {', '.join(twice)}, which a graph for batches does not: "
            "export the bundle without TTA_PASSES"
        )
    network = _network(onnx.load(folder / GRAPH), manifest.decoder_inputs)
    if precision != "f32":
        to_half(network, precision)
    decoder = compose.add_prefix(decoder_graph(manifest, vote), PREFIX, rename_inputs=False, rename_outputs=False)
    decoder.ir_version = network.ir_version
    graph = compose.merge_models(network, decoder, [(name, name) for name in manifest.decoder_inputs])
    del graph.graph.value_info[:]
    graph.producer_name = "humanparse"
    onnx.checker.check_model(graph)
    return graph


class _Decoder(nn.Module):
    def __init__(self, manifest: Manifest, vote: Vote) -> None:
        super().__init__()
        self.decoder = Decoder(manifest.taxonomy, replace(manifest.decoder, vote=vote))
        self.names = manifest.decoder_inputs

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(self.names, maps, strict=True))
        absent = torch.zeros(())  # what the decoder does not read
        return tuple(self.decoder(HeadMaps(*(given.get(name, absent) for name in HeadMaps._fields))))


def decoder_graph(manifest: Manifest, vote: Vote) -> ModelProto:
    """The decoder of a bundle: head maps [B, ..., h, w] to `People`, bytes at the outputs alone."""
    parts, joints = len(manifest.taxonomy.part_names), len(manifest.taxonomy.joint_names)
    channels: dict[str, tuple[int, ...]] = {
        "part_logits": (parts + 1,), "projection_field": (2,), "heatmap_logits": (joints,), "offsets": (joints, 2),
        "limb_logits": (len(manifest.taxonomy.limbs),), "center_logits": (1,), "regression": (joints, 2),
    }  # fmt: skip
    size = [side // STRIDE for side in TRACE_CANVAS]
    maps = tuple(torch.zeros(TRACE_VIEWS, *channels[name], *size) for name in manifest.decoder_inputs)
    cells, images = CANVAS_MULTIPLE // STRIDE, torch.export.Dim("images", min=1, max=64)
    height, width = (cells * torch.export.Dim(name, min=2, max=64) for name in ("height_cells", "width_cells"))
    program = torch.onnx.export(
        _Decoder(manifest, vote).eval(),
        maps,
        dynamo=True,
        opset_version=OPSET,
        input_names=list(manifest.decoder_inputs),
        output_names=list(People._fields),
        dynamic_shapes={"maps": tuple({0: images, m.ndim - 2: height, m.ndim - 1: width} for m in maps)},
        optimize=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]
    del model.graph.value_info[:]
    _keep_bytes_at_outputs(model.graph)
    return model


def _network(model: ModelProto, names: tuple[str, ...]) -> ModelProto:
    """The graph up to the tensors `names`, without its views; a Cast alone reads its bytes, a Shape their sizes."""
    graph = model.graph
    first = next(node for node in graph.node if node.op_type == "Transpose")  # of `Network.normalized`
    pixels = helper.make_tensor_value_info(first.input[0], TensorProto.UINT8, ["images", "height", "width", 3])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names]
    graph.value_info.extend([pixels, *ends])
    network = Extractor(model).extract_model([pixels.name], list(names))
    network.graph.input[0].name = IMAGE
    cast = helper.make_node("Cast", [IMAGE], [pixels.name], name="image_cast", to=TensorProto.FLOAT)
    network.graph.node.insert(0, cast)
    del network.graph.value_info[:]  # which says that they are bytes
    return network


def _keep_bytes_at_outputs(graph: GraphProto) -> None:
    """Compute in int32 what was computed in uint8, and cast at the end."""
    for initializer in graph.initializer:
        _widen(initializer)
    for attribute in _attributes(graph.node):
        if attribute.name == "to" and attribute.i == TensorProto.UINT8:
            attribute.i = TensorProto.INT32
        elif attribute.type == AttributeProto.TENSOR:
            _widen(attribute.t)
    for output in graph.output:
        if output.type.tensor_type.elem_type == TensorProto.UINT8:
            inner = f"{output.name}_int32"
            for node in graph.node:
                node.input[:] = [inner if name == output.name else name for name in node.input]
                node.output[:] = [inner if name == output.name else name for name in node.output]
            graph.node.append(
                helper.make_node("Cast", [inner], [output.name], name=f"{output.name}_cast", to=TensorProto.UINT8)
            )


def _attributes(nodes: list[NodeProto]) -> Iterator[AttributeProto]:
    return (attribute for node in nodes for attribute in node.attribute)


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type == TensorProto.UINT8:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype("int32"), tensor.name))
