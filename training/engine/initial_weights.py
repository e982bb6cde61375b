"""Weights to start a training from: a checkpoint's, or a bundle's, of which no checkpoint is published.

An exported graph holds its parameters under their names, but each BatchNorm is folded into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import Tensor, nn

from model.checkpoint import read_checkpoint
from model.errors import InputError
from model.heads import MapConv
from model.manifest import GRAPH, read_bundle
from model.network import Network

PREFIX, HALF = "parser.network.", "_f16"  # how a graph names a network's parameters


def load_initial_weights(network: Network, start: Path) -> str:
    """Fill `network` from a checkpoint or a bundle's folder; returns a sentence about what is not filled, or "".

    What fits by name and shape is taken: new heads, as for other parts or joints, start afresh.

    Raises:
        CheckpointError, BundleError: the file or folder is no such thing.
        InputError: the weights are of another backbone.
    """
    state = _of_bundle(start, network) if start.is_dir() else read_checkpoint(start)["weights"]
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    afresh = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    if lacking := [name for name in afresh if name.startswith("backbone.")]:
        raise InputError(
            f"{start} has another backbone than {network.config.backbone}, or an older form of it (no {lacking[0]}): "
            "set model.backbone to its own, or start from the public weights"
        )
    network.load_state_dict(fitting, strict=False)
    modules = sorted({".".join(name.split(".")[:2]) for name in afresh})
    return f"{start}: these start afresh: {', '.join(modules)}" if modules else ""


@torch.no_grad()
def unfold_batch_norm(network: Network, image: Tensor) -> None:
    """Give BatchNorms that a bundle had folded away the statistics of `image`, uint8 [B, H, W, 3].

    In evaluation the network computes what it did; in training, where batches are normalised, nearly so.
    """
    hooks = []
    for layer in network.modules():
        if type(layer) is nn.BatchNorm2d:
            hooks.append(layer.register_forward_pre_hook(_restore))
    network.eval()(image)
    for hook in hooks:
        hook.remove()


@torch.no_grad()
def scale_features(network: Network, image: Tensor) -> None:
    """Let `network.feature_scale` bring the backbone's features of `image`, uint8 [B, H, W, 3], to an RMS of 1.

    Channels that are zero throughout keep the factor of their level.
    """
    levels = network.eval().backbone(network.normalized(image))
    for layer, level in zip(network.feature_scale, levels, strict=True):
        square = level.float().square().mean((0, 2, 3), keepdim=True)  # [1, C, 1, 1]
        typical = square.mean()
        layer.get_buffer("factor").copy_((square + 1e-2 * typical).rsqrt())


def _restore(layer: nn.Module, inputs: tuple[Tensor]) -> None:
    """Take the statistics of the input, and undo what normalising with them does."""
    if not isinstance(layer, nn.BatchNorm2d) or layer.running_mean is None or layer.running_var is None:
        return
    variance, mean = torch.var_mean(inputs[0].float(), (0, 2, 3))  # [C]
    before = torch.sqrt(layer.running_var + layer.eps)
    scale = layer.weight / before
    layer.bias.add_(scale * (mean - layer.running_mean))
    layer.weight.copy_(scale * torch.sqrt(variance + layer.eps))
    layer.running_mean.copy_(mean)
    layer.running_var.copy_(variance)


def _of_bundle(folder: Path, network: Network) -> dict[str, Tensor]:
    """The parameters in a bundle's graph; BatchNorms of `network` that it lacks become what is left of them, shifts."""
    read_bundle(folder)
    graph = onnx.load(folder / GRAPH).graph
    values = {i.name.removesuffix(HALF): numpy_helper.to_array(i) for i in graph.initializer}
    state = {
        name.removeprefix(PREFIX): torch.from_numpy(value.copy()).float()
        for name, value in values.items()
        if name.startswith(PREFIX)
    }
    # Equal initializers are stored once, under one of their names: a bias is found through its convolution.
    biases = {
        node.input[1]: values[node.input[2]] for node in graph.node if _has_bias(node) and node.input[2] in values
    }
    shift = None
    for name, layer in network.named_modules():
        if isinstance(layer, MapConv):  # exported as a convolution for each map; before version 6 as one
            names = [f"{PREFIX}{name}.{index}.weight" for index in range(len(layer.outputs))]
            if any(part in values for part in names):
                # Maps that the decoder does not read are not exported, nor are biases of zero.
                new = torch.split(layer.weight.detach(), list(layer.outputs))
                own = {part: weight.numpy() for part, weight in zip(names, new, strict=True)}
                state[f"{name}.weight"] = _joined((own | values)[part] for part in names)
                state[f"{name}.bias"] = _joined(biases.get(part, np.zeros(len(own[part]))) for part in names)
                continue
        if isinstance(layer, nn.Conv2d):
            bias = biases.get(f"{PREFIX}{name}.weight")
            shift = None if bias is None else torch.from_numpy(bias.copy()).float()
            if layer.bias is not None and shift is not None:
                state[f"{name}.bias"], shift = shift, None
        # A BatchNorm is defined right after the convolution whose output it normalises.
        elif isinstance(layer, nn.BatchNorm2d) and f"{name}.weight" not in state and shift is not None:
            state |= {
                f"{name}.weight": torch.ones_like(shift), f"{name}.running_mean": torch.zeros_like(shift),
                f"{name}.bias": shift, f"{name}.running_var": torch.full_like(shift, 1 - layer.eps),
            }  # fmt: skip
    return state


def _joined(parts: Iterable[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.concatenate([*parts])).float()


def _has_bias(node: onnx.NodeProto) -> bool:
    return node.op_type == "Conv" and len(node.input) > 2
