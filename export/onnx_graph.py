"""Exports HumanParser to one ONNX graph whose tensors bear the contract's names."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from export.fp16_weights import cast_initializers, round_weights
from model.config import CANVAS_MULTIPLE
from model.decoder.decode import People
from model.flip_tta import stack_flipped
from model.heads import MapConv
from model.maps import decoder_inputs
from model.parser import HumanParser

OPSET = 18
TRACE_CANVAS = (3 * CANVAS_MULTIPLE, 4 * CANVAS_MULTIPLE)  # unequal sides, so that no axis is taken for the other
TRACE_VIEWS = 3  # with 2, an inner axis would have length 1, which the exporter takes for a constant
OUTPUTS = People._fields


class _Traced(nn.Module):
    """Returns the head maps beside the people, so that the exporter names them too."""

    def __init__(self, parser: HumanParser) -> None:
        super().__init__()
        self.parser = parser
        self.maps = decoder_inputs(parser.decoder.config)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = self.parser.network(stack_flipped(image))
        return (*self.parser.decode(maps), *(getattr(maps, name) for name in self.maps))


def write_graph(parser: HumanParser, path: Path) -> None:
    """Write `parser.onnx`: a uint8 canvas [V, H, W, 3] of any multiple of 32 to the people of the graph contract.

    V is 1 or 2, as of `HumanParser`.

    The head maps stay in the graph as named inner tensors, where a runtime may cut it in two.
    Rounds the parser's weights to what float16 holds (in place): the file stores them so.
    """
    round_weights(parser)
    height = CANVAS_MULTIPLE * torch.export.Dim("height_cells", min=2, max=64)
    width = CANVAS_MULTIPLE * torch.export.Dim("width_cells", min=2, max=64)
    program = torch.onnx.export(
        _Traced(_divided(parser)).eval(),
        (torch.zeros(TRACE_VIEWS, *TRACE_CANVAS, 3, dtype=torch.uint8),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["image"],
        output_names=[*OUTPUTS, *decoder_inputs(parser.decoder.config)],
        dynamic_shapes={"image": {0: torch.export.Dim("views", min=1, max=3), 1: height, 2: width}},
        optimize=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    graph = program.model_proto
    del graph.graph.output[len(OUTPUTS) :]
    del graph.graph.value_info[:]  # shapes of one trace; runtimes infer their own
    for node in graph.graph.node:
        del node.metadata_props[:]  # source lines of the machine that traced it
    graph.producer_name = "humanparse"
    cast_initializers(graph)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _divided(parser: HumanParser) -> HumanParser:
    """A copy of `parser` with a convolution for each map."""
    copy = deepcopy(parser)
    for name, layer in list(copy.named_modules()):
        if isinstance(layer, MapConv):
            copy.set_submodule(name, layer.divided())
    return copy
