"""From a name to a backbone, and from a public checkpoint to its weights."""

from __future__ import annotations

from typing import Self, get_args

from torch import nn

from model.backbones.base import Backbone, StateDict
from model.backbones.dinov2 import DinoV2
from model.backbones.efficientnet_lite import EfficientNetLite
from model.backbones.movenet import MoveNet
from model.backbones.resnet import ResNet
from model.config import Backbone as BackboneName
from model.config import ModelConfig
from model.errors import InputError

LISTED = 5  # names an error message spells out


def build_backbone(config: ModelConfig) -> Backbone:
    """The backbone of `config`, with fresh weights. Raises InputError where its name is unknown."""
    match config.backbone:
        case "resnet18" | "resnet50" | "resnet101":
            return ResNet(config.backbone)
        case "efficientnet_lite0" | "efficientnet_lite2":
            return EfficientNetLite(config.backbone)
        case "dinov2_vits14":
            return DinoV2(config.backbone_blocks)
        case "movenet_multipose":
            return MoveNet()
    raise InputError(f"unknown backbone {config.backbone!r}; known: {', '.join(get_args(BackboneName))}")


def load_pretrained(backbone: Backbone, state: StateDict) -> None:
    """Fill the pretrained parts of `backbone` from the state dict of its public checkpoint.

    The classifier is dropped and filters are resampled where the backbone asks for it; its extras keep the
    weights they have. Nothing is loaded unless everything fits.

    Raises:
        InputError: keys are missing, unexpected or of another shape; the first of them are named.
    """
    public = backbone.convert_state_dict(state)
    own = {name: value for name, value in backbone.state_dict().items() if backbone.is_pretrained(name)}
    # Old checkpoints lack the counters, which nothing here reads.
    missing = [name for name in own if name not in public and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in public if name not in own]
    misshaped = [
        f"{name} is {tuple(public[name].shape)} instead of {tuple(value.shape)}"
        for name, value in own.items()
        if name in public and public[name].shape != value.shape
    ]
    problems = [
        f"{what}: {', '.join(names[:LISTED])}" + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
        for what, names in (("missing", missing), ("unexpected", unexpected), ("misshaped", misshaped))
        if names
    ]
    if problems:
        raise InputError(
            f"these weights are not those of {type(backbone).__name__} ({'; '.join(problems)}); "
            "give the public checkpoint of the configured backbone"
        )
    backbone.load_state_dict(public, strict=False)


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that normalises with its stored statistics, in training too; scale and shift still train."""

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever `mode` is."""
        return super().train(False)


def freeze_batch_norm(backbone: Backbone) -> None:
    """Keep the statistics of the pretrained BatchNorms as they are, also after `.train()`.

    Parameters, buffers and state-dict keys stay the same ones. The extras, which have no statistics worth
    keeping, are left alone. The paper keeps ImageNet's statistics throughout.
    """
    for name, layer in list(backbone.named_modules()):
        if type(layer) is nn.BatchNorm2d and backbone.is_pretrained(name):
            parent, _, child = name.rpartition(".")
            setattr(backbone.get_submodule(parent), child, _frozen(layer))


def _frozen(layer: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    frozen = FrozenBatchNorm2d(layer.num_features, eps=layer.eps)
    frozen.weight, frozen.bias = layer.weight, layer.bias
    frozen.running_mean, frozen.running_var = layer.running_mean, layer.running_var
    frozen.num_batches_tracked = layer.num_batches_tracked
    return frozen.eval()
