"""The exported graph against the module, in every runtime, on maps that decide something and on natural pixels."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

from export.onnx_graph import OUTPUTS, write_graph
from export.parity import compare_runtimes, onnxruntime_run, synthetic_inputs
from model.config import DecoderConfig, ModelConfig
from model.flip_tta import stack_flipped
from model.maps import HeadMaps, decoder_inputs
from model.network import Network
from model.onnxruntime import ort
from model.openvino import core
from model.parser import HumanParser
from model.taxonomy import DENSEPOSE_COCO, Taxonomy
from tests.figures import draw_figures
from training.engine.initial_weights import _of_bundle
from training.transforms.targets import encode, ideal_centers

SIZE = (128, 192)  # of the shelf's canvases

pytestmark = [
    # torch's exporter warns about its own internals.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


class Shelf(Network):
    """In place of a network: head maps on a shelf, picked by the first pixel of the canvas."""

    def __init__(self, shelf: list[HeadMaps]) -> None:
        nn.Module.__init__(self)
        self.config = ModelConfig()
        for name, column in zip(HeadMaps._fields, zip(*shelf, strict=True), strict=True):
            self.register_buffer(name, torch.cat(column))

    def forward(self, image: Tensor) -> HeadMaps:
        index = image[:, 0, 0, 0].long()
        return HeadMaps(*(getattr(self, name)[index] for name in HeadMaps._fields))


def figure_maps(taxonomy: Taxonomy, people: int, seed: int, noise: float = 1.0) -> HeadMaps:
    """Maps that say what the labels of drawn figures say, blurred by noise."""
    targets = encode(draw_figures(taxonomy, SIZE, people, seed), taxonomy, DecoderConfig())
    random = torch.Generator().manual_seed(seed)

    def noisy(x: Tensor, strength: float) -> Tensor:
        return x[None].float() + noise * strength * torch.randn(x.shape, generator=random)

    parts = nn.functional.one_hot(torch.from_numpy(targets.parts[2::4, 2::4]).long(), len(taxonomy.part_names) + 1)
    center, ways = ideal_centers(targets)
    return HeadMaps(
        part_logits=noisy(8 * parts.permute(2, 0, 1), 1.0),
        projection_field=noisy(torch.from_numpy(targets.projection), 0.5),
        heatmap_logits=noisy(torch.from_numpy(targets.heatmap).float() * 8 - 4, 0.5),
        offsets=noisy(torch.from_numpy(targets.offsets), 0.3),
        limb_logits=noisy(torch.from_numpy(targets.limbs).float() * 8 - 4, 0.5),
        center_logits=noisy(torch.from_numpy(center).float() * 8 - 4, 0.5),
        regression=noisy(torch.from_numpy(ways), 0.3),
    )


def mirrored(maps: HeadMaps) -> HeadMaps:
    """Two people who are each other's mirror image, joints kept by class: exact ties."""
    flipped = HeadMaps(
        *(torch.cat([m[..., : m.shape[-1] // 2], m[..., : m.shape[-1] // 2].flip(-1)], -1) for m in maps)
    )
    half = maps.part_logits.shape[-1] // 2
    flipped.projection_field[:, 0, :, half:] *= -1
    flipped.offsets[:, :, 0, :, half:] *= -1
    flipped.regression[:, :, 0, :, half:] *= -1
    return flipped


SHELF = {
    "one": figure_maps(DENSEPOSE_COCO, 1, 0),
    "three": figure_maps(DENSEPOSE_COCO, 3, 1),
    "crowd": figure_maps(DENSEPOSE_COCO, 7, 2),
    "nobody": HeadMaps(*(torch.full_like(m, -20.0) for m in figure_maps(DENSEPOSE_COCO, 0, 0))),
    "noise": figure_maps(DENSEPOSE_COCO, 9, 5, noise=3.0),
    "ties": mirrored(figure_maps(DENSEPOSE_COCO, 2, 4)),
}


PAPER = DecoderConfig(max_people=6, keypoint_threshold=0.4)
CENTERS = replace(PAPER, center_weight=0.5, fill_score=0.05)
DECODER_INPUTS = decoder_inputs(CENTERS)


@pytest.fixture(scope="module", params=[PAPER, CENTERS], ids=["paper", "centers"])
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[HumanParser, Path]:
    path = tmp_path_factory.mktemp("shelf") / "parser.onnx"
    parser = HumanParser(Shelf(list(SHELF.values())), request.param).eval()
    write_graph(parser, path)
    return parser, path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> tuple[HumanParser, Path]:
    """An untrained parser. Its decisions would be near ties everywhere, so only its head maps are compared."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("network") / "parser.onnx"
    parser = HumanParser(Network(ModelConfig(backbone_blocks=4, hidden_dim=16, refinement_dim=8)), CENTERS).eval()
    assert parser.network.refinement is not None
    nn.init.normal_(parser.network.refinement.corrections.weight)
    write_graph(parser, path)
    return parser, path


@pytest.mark.parametrize("name", SHELF)
def test_the_decoder_says_the_same_in_every_runtime(shelf: tuple[HumanParser, Path], name: str) -> None:
    image = np.zeros((*SIZE, 3), np.uint8)
    image[0, 0, 0] = list(SHELF).index(name)  # the mirror shows the first: "one"
    for report in compare_runtimes(*shelf, [image]):
        assert report.passed, report
        assert (report.people > 0) == (name != "nobody")


def test_the_shelf_finds_its_figures(shelf: tuple[HumanParser, Path]) -> None:
    """Else the comparisons above would compare nothing."""
    run = onnxruntime_run(shelf[1])
    counts = {}
    for index, name in enumerate(SHELF):
        image = np.zeros((*SIZE, 3), np.uint8)
        image[0, 0, 0] = index
        people = run(image, 1)
        counts[name] = int((people.person_score > 0).sum() + people.overflow[0])
    assert counts["one"] == 1
    assert counts["three"] == 3
    assert counts["nobody"] == 0
    assert counts["crowd"] > 6  # more than the parser has slots for


@pytest.mark.parametrize("size", [(96, 128), (64, 160)])
def test_the_network_says_the_same_at_any_canvas(network: tuple[HumanParser, Path], size: tuple[int, int]) -> None:
    parser, path = network
    model = core.read_model(path)
    model.add_outputs(list(DECODER_INPUTS))
    in_openvino = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    in_onnxruntime = ort.InferenceSession(with_outputs(path, DECODER_INPUTS).SerializeToString())
    astronaut = np.array(Image.fromarray(skimage.data.astronaut()).resize(size[::-1]))
    for image, times in itertools.product([*synthetic_inputs(size), astronaut], (1, 2)):
        views = image[None].repeat(times, 0)
        with torch.no_grad():
            expected = parser.network(stack_flipped(torch.from_numpy(views)))
        one = in_openvino([views])
        other = in_onnxruntime.run(DECODER_INPUTS, {"image": views})
        for index, (name, tensor) in enumerate(expected._asdict().items()):
            close = {"rtol": 1e-3, "atol": 1e-3 * float(tensor.abs().max())}
            torch.testing.assert_close(torch.from_numpy(one[name]), tensor, **close)
            torch.testing.assert_close(torch.from_numpy(other[index]), tensor, **close)


def with_outputs(path: Path, names: tuple[str, ...]) -> onnx.ModelProto:
    """The graph with inner tensors as outputs."""
    model = onnx.load(path)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return model


def test_the_graph_keeps_the_contract(network: tuple[HumanParser, Path]) -> None:
    graph = onnx.load(network[1]).graph
    assert [(i.name, i.type.tensor_type.elem_type) for i in graph.input] == [("image", onnx.TensorProto.UINT8)]
    assert tuple(o.name for o in graph.output) == OUTPUTS
    produced = {name for node in graph.node for name in node.output}
    assert set(DECODER_INPUTS) <= produced
    assert not {"NonZero", "If", "Loop"} & {node.op_type for node in graph.node}
    assert not any(node.metadata_props for node in graph.node)


def test_a_training_finds_the_maps_of_the_graph(
    network: tuple[HumanParser, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The graph has a convolution for each map, the network one for all."""
    parser, path = network
    monkeypatch.setattr("training.engine.initial_weights.read_bundle", lambda folder: None)
    state = _of_bundle(path.parent, parser.network)
    own = {name: p for name, p in parser.network.named_parameters() if "pose_logits" in name or "corrections" in name}
    assert len(own) == 4
    for name, parameter in own.items():
        assert torch.equal(state[name], parameter), name


def test_weights_are_stored_as_float16_without_changing_their_value(network: tuple[HumanParser, Path]) -> None:
    parser, path = network
    stored = [i for i in onnx.load(path).graph.initializer if i.data_type == onnx.TensorProto.FLOAT16]
    share = sum(np.prod(i.dims) for i in stored) / sum(p.numel() for p in parser.parameters())
    assert share > 0.9
    for parameter in parser.parameters():
        if parameter.numel() >= 256:
            assert torch.equal(parameter, parameter.half().float())
