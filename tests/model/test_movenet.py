"""MoveNet against the graph it comes from, written down a second time over TensorFlow's names and layouts."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from model.backbones.base import StateDict
from model.backbones.build import build_backbone, load_pretrained
from model.backbones.movenet import MoveNet
from model.config import ModelConfig

ROOT = "StatefulPartitionedCall/"
PYRAMID = f"{ROOT}center_net_mobile_net_v2fpn_feature_extractor/model_1/"
MOBILE = f"{PYRAMID}model/"
BLOCKS = [  # number, channels in and out, stride
    *((1, 24, 40, 2), (2, 40, 40, 1), (3, 40, 48, 2), (4, 48, 48, 1), (5, 48, 48, 1), (6, 48, 96, 2)),
    *((7, 96, 96, 1), (8, 96, 96, 1), (9, 96, 96, 1), (10, 96, 144, 1), (11, 144, 144, 1), (12, 144, 144, 1)),
    *((13, 144, 240, 2), (14, 240, 240, 1), (15, 240, 240, 1), (16, 240, 480, 1)),
]
MEAN = torch.tensor([123.675, 116.28, 103.53]).view(3, 1, 1)
STD = torch.tensor([58.395, 57.12, 57.375]).view(3, 1, 1)


def public_state() -> StateDict:
    """Variables with the names and shapes of the public graph, and values that keep activations alive."""
    shapes: dict[str, tuple[int, ...]] = {}

    def folded(layer: str, *shape: int) -> None:
        shapes[f"{layer}_weights"] = shape
        shapes[f"{layer}_bn_offset"] = (shape[3] if shape[3] > 1 else shape[2],)

    def plain(layer: str, *shape: int) -> None:
        shapes[f"{layer}/Conv2D/ReadVariableOp"] = shape
        shapes[f"{layer}/BiasAdd/ReadVariableOp"] = (shape[3],)

    folded(f"{MOBILE}Conv1/Conv2D", 3, 3, 3, 48)
    folded(f"{MOBILE}expanded_conv_depthwise/depthwise", 3, 3, 48, 1)
    folded(f"{MOBILE}expanded_conv_project/Conv2D", 1, 1, 48, 24)
    for number, inside, outside, _ in BLOCKS:
        folded(f"{MOBILE}block_{number}_expand/Conv2D", 1, 1, inside, 6 * inside)
        folded(f"{MOBILE}block_{number}_depthwise/depthwise", 3, 3, 6 * inside, 1)
        folded(f"{MOBILE}block_{number}_project/Conv2D", 1, 1, 6 * inside, outside)
    folded(f"{MOBILE}Conv_1/Conv2D", 1, 1, 480, 1280)
    for name, inside, outside in (("", 1280, 64), ("_1", 96, 64), ("_2", 48, 32), ("_3", 40, 24)):
        plain(f"{PYRAMID}conv2d{name}", 1, 1, inside, outside)
    for name, inside, outside in (("", 64, 32), ("_1", 32, 24), ("_2", 24, 24)):
        shapes[f"{PYRAMID}separable_conv2d{name}/separable_conv2d/ReadVariableOp"] = (3, 3, inside, 1)
        folded(f"{PYRAMID}separable_conv2d{name}/separable_conv2d", 1, 1, inside, outside)
    heads = (("center", 1), ("box_scale", 2), ("box_offset", 2), ("kpt_heatmap", 17), ("kpt_regress", 34))
    for number, (name, count) in enumerate((*heads, ("kpt_offset", 34)), 3):
        head = f"{ROOT}{name}_0/separable_conv2d_{number}"
        shapes[f"{head}/separable_conv2d/ReadVariableOp"] = (3, 3, 24, 1)
        shapes[f"{head}/separable_conv2d/ReadVariableOp_1"] = (1, 1, 24, 96)
        shapes[f"{head}/BiasAdd/ReadVariableOp"] = (96,)
        plain(f"{ROOT}{name}_0/conv2d_{number + 1}", 1, 1, 96, count)
    shapes |= {f"{ROOT}Reshape": (1, 1, 1, 3), f"{ROOT}truediv": (1, 1, 1, 3), f"{ROOT}zeros_like": (1, 6, 17)}

    generator = torch.Generator().manual_seed(3)
    state = {}
    for name, shape in shapes.items():
        fan = shape[0] * shape[1] * (shape[2] if shape[-1] > 1 else 1) if len(shape) == 4 else 100
        state[name] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
    return state


def same(x: Tensor, weights: Tensor, stride: int = 1, depthwise: bool = False) -> Tensor:
    """TensorFlow's "SAME": `x` [1, C, H, W]; weights [h, w, in, out]."""
    kernel = weights.shape[0]
    for axis in (3, 2):  # width, then height
        size = x.shape[axis]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        before, after = total // 2, total - total // 2
        x = F.pad(x, (before, after, 0, 0) if axis == 3 else (0, 0, before, after))
    if depthwise:
        channels = weights.shape[2]
        return F.conv2d(x, weights[..., 0].permute(2, 0, 1)[:, None], stride=stride, groups=channels)
    return F.conv2d(x, weights.permute(3, 2, 0, 1), stride=stride)


def graph(state: StateDict, pixels: Tensor) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The public graph on `pixels` [1, 3, H, W] in 0..255: features, and what its heads answer."""

    def folded(layer: str, x: Tensor, stride: int = 1) -> Tensor:
        y = same(x, state[f"{layer}_weights"], stride, layer.endswith("depthwise"))
        return y + state[f"{layer}_bn_offset"].view(1, -1, 1, 1)

    def plain(layer: str, x: Tensor) -> Tensor:
        y = same(x, state[f"{layer}/Conv2D/ReadVariableOp"])
        return y + state[f"{layer}/BiasAdd/ReadVariableOp"].view(1, -1, 1, 1)

    x = folded(f"{MOBILE}Conv1/Conv2D", pixels / 127.5 - 1, 2).clamp(0, 6)
    x = folded(f"{MOBILE}expanded_conv_depthwise/depthwise", x).clamp(0, 6)
    x = folded(f"{MOBILE}expanded_conv_project/Conv2D", x)
    at = {}
    for number, inside, outside, stride in BLOCKS:
        y = folded(f"{MOBILE}block_{number}_expand/Conv2D", x).clamp(0, 6)
        y = folded(f"{MOBILE}block_{number}_depthwise/depthwise", y, stride).clamp(0, 6)
        y = folded(f"{MOBILE}block_{number}_project/Conv2D", y)
        x = at[f"block {number}"] = x + y if stride == 1 and inside == outside else y
    at["top"] = folded(f"{MOBILE}Conv_1/Conv2D", x).clamp(0, 6)
    x = plain(f"{PYRAMID}conv2d", at["top"])
    for step, (fuse, lateral, block) in enumerate((("", "_1", 9), ("_1", "_2", 5), ("_2", "_3", 2))):
        x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
        x = x + plain(f"{PYRAMID}conv2d{lateral}", at[f"block {block}"])
        name = f"{PYRAMID}separable_conv2d{fuse}/separable_conv2d"
        x = same(x, state[f"{name}/ReadVariableOp"], depthwise=True)
        x = at[f"pyramid {step}"] = folded(name, x).clamp(min=0)
    answers = {}
    for name, number in (("center", 3), ("kpt_heatmap", 6), ("kpt_regress", 7), ("kpt_offset", 8)):
        head = f"{ROOT}{name}_0/separable_conv2d_{number}"
        y = same(x, state[f"{head}/separable_conv2d/ReadVariableOp"], depthwise=True)
        y = same(y, state[f"{head}/separable_conv2d/ReadVariableOp_1"])
        y = (y + state[f"{head}/BiasAdd/ReadVariableOp"].view(1, -1, 1, 1)).clamp(min=0)
        answers[name] = plain(f"{ROOT}{name}_0/conv2d_{number + 1}", y)
    return at, answers


def loaded(state: StateDict) -> MoveNet:
    backbone = build_backbone(ModelConfig(backbone="movenet_multipose"))
    load_pretrained(backbone, state)
    assert isinstance(backbone, MoveNet)
    return backbone.eval()


@torch.no_grad()
def test_levels_are_what_the_public_graph_computes() -> None:
    state = public_state()
    pixels = torch.randint(0, 256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
    x1, x2, x3, x4 = loaded(state)((pixels - MEAN) / STD)
    at, answers = graph(state, pixels)
    wanted = (
        [
            at["block 2"],
            at["pyramid 2"],
            answers["center"] / 4,
            answers["kpt_heatmap"] / 4,
            answers["kpt_regress"] / 16,
        ],
        [at["block 5"], at["pyramid 1"]],
        [at["block 12"], at["pyramid 0"]],
        [at["top"]],
    )
    for level, (found, pieces) in enumerate(zip((x1, x2, x3, x4), wanted, strict=True)):
        assert found.shape[1] == MoveNet.channels[level]
        torch.testing.assert_close(found, torch.cat(pieces, dim=1), rtol=1e-4, atol=1e-4)
    assert answers["kpt_regress"].std() > 0.1  # the weights carry a signal to the end


@torch.no_grad()
def test_poses_are_what_the_public_graph_says_in_cells_from_their_centers() -> None:
    state = public_state()
    pixels = torch.randint(0, 256, (1, 3, 64, 96), generator=torch.Generator().manual_seed(0)).float()
    backbone = loaded(state)
    prior = backbone.forward_with_poses((pixels - MEAN) / STD)[1]
    _, answers = graph(state, pixels)
    torch.testing.assert_close(prior.center_logits, answers["center"], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(prior.heatmap_logits, answers["kpt_heatmap"], rtol=1e-4, atol=1e-3)
    for found, name in ((prior.regression, "kpt_regress"), (prior.subcell, "kpt_offset")):
        for joint in (0, 16):  # MoveNet's pairs are y, x from the upper left corner of a cell
            y, x = answers[name][0, 2 * joint : 2 * joint + 2]
            torch.testing.assert_close(found[0, joint], torch.stack((x, y)) - 0.5, rtol=1e-4, atol=1e-3)


def test_a_graph_that_lacks_a_layer_is_refused() -> None:
    state = public_state()
    state.pop(f"{PYRAMID}conv2d_2/Conv2D/ReadVariableOp")
    with pytest.raises(ValueError, match=r"MoveNet \(missing: lateral.1.weight\)"):
        loaded(state)


def test_first_blocks_can_be_kept_while_the_others_learn() -> None:
    backbone = build_backbone(ModelConfig(backbone="movenet_multipose"))
    backbone.freeze_stages(3)
    learning = {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}
    kept = {name for name in backbone.state_dict() if name.startswith(("stem.", "blocks.0.", "blocks.1.", "blocks.2."))}
    assert learning == backbone.state_dict().keys() - kept


@pytest.mark.parametrize(("name", "blocks"), [("movenet_multipose", 18), ("movenet_multipose", -1), ("resnet18", 1)])
def test_blocks_that_are_not_there_cannot_be_kept(name: str, blocks: int) -> None:
    with pytest.raises(ValueError, match="frozen_stages"):
        build_backbone(ModelConfig(backbone=name)).freeze_stages(blocks)  # type: ignore[arg-type]
