"""Computes the products of a network in half precision, and coordinates in float32, by explicit Casts.

Written here because converters of ONNX graphs know float16 alone, and go by kinds of operators: which ones reckon with
coordinates follows from where they are.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.fp16_weights import fold_casts

HALF = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
PRODUCTS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
FLOAT32_INPUTS = {"Resize": (1, 2)}  # region and scales
SUFFIX = "_half"


def to_half(network: ModelProto, precision: str) -> None:
    """Let a graph in float32, in place, compute in "fp16" or "bf16"; its inputs and outputs keep their types.

    Lowered are products, that is convolutions over all channels and products of matrices, and what lies between two of
    them. In float32 stay the pixels before the first and the maps after the last one, and GridSample with the
    coordinates that it reads at. Weights are stored as they are computed with.
    """
    fold_casts(network)
    graph, kind = network.graph, HALF[precision]
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    floats, lowered = _float_tensors(network), _lowered(graph.node)
    weights = {initializer.name: initializer for initializer in graph.initializer}
    there = {*weights, *(value.name for value in graph.input)}  # a tensor in half precision bears the suffix
    nodes: list[NodeProto] = []

    def read(name: str, half: bool) -> str:
        """A tensor's name in the precision that its reader wants; it is cast where it is first wanted so."""
        own, other = (name + SUFFIX, name) if half else (name, name + SUFFIX)
        if own not in there:
            there.add(own)
            if name in weights:
                value = numpy_helper.to_array(weights[name]).astype(dtype)
                graph.initializer.append(numpy_helper.from_array(value, own))
            else:
                to = kind if half else TensorProto.FLOAT
                nodes.append(helper.make_node("Cast", [other], [own], name=f"{own}_cast", to=to))
        return own

    for number, node in enumerate(graph.node):
        half = number in lowered or (node.op_type == "Shape" and node.input[0] + SUFFIX in there)
        exempt = FLOAT32_INPUTS.get(node.op_type, ())
        for place, name in enumerate(node.input):
            if name in floats:
                node.input[place] = read(name, half and place not in exempt)
        node.output[:] = [name + SUFFIX if half and name in floats else name for name in node.output]
        there.update(node.output)
        nodes.append(node)
    for output in graph.output:
        read(output.name, half=False)
    del graph.node[:]
    graph.node.extend(nodes)
    _drop_unread_weights(graph)


def _lowered(nodes: Sequence[NodeProto]) -> set[int]:
    """The places, in order, of the nodes to compute in half precision."""
    after, before, coordinates = set[str](), set[str](), set[str]()
    for node in nodes:
        if _is_product(node) or after & set(node.input):
            after |= set(node.output)
    for node in reversed(nodes):
        if _is_product(node) or before & set(node.output):
            before |= set(node.input)
        if node.op_type == "GridSample":
            coordinates.add(node.input[1])
        elif coordinates & set(node.output) and node.op_type != "Shape" and not _is_product(node):
            coordinates |= set(node.input)
    return {
        number
        for number, node in enumerate(nodes)
        if _is_product(node)
        or (
            after & set(node.input)
            and before & set(node.output)
            and not coordinates & set(node.output)
            and node.op_type not in ("Cast", "GridSample")
        )
    }


def _is_product(node: NodeProto) -> bool:
    """Whether a node sums over channels: depthwise convolutions only spread a map."""
    groups = [attribute.i for attribute in node.attribute if attribute.name == "group"]
    return node.op_type in PRODUCTS and groups in ([], [1])


def _float_tensors(model: ModelProto) -> set[str]:
    """Names of the tensors in float32."""
    graph = onnx.shape_inference.infer_shapes(model).graph
    values = {v.name: v.type.tensor_type.elem_type for v in (*graph.input, *graph.output, *graph.value_info)}
    values |= {initializer.name: initializer.data_type for initializer in graph.initializer}
    return {name for name, kind in values.items() if kind == TensorProto.FLOAT}


def _drop_unread_weights(graph: GraphProto) -> None:
    read = {name for node in graph.node for name in node.input}
    kept = [initializer for initializer in graph.initializer if initializer.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
