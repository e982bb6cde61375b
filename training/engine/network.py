"""Build the network with its initial weights, and the module with its losses."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tqdm import tqdm

from model.backbones.build import freeze_batch_norm, load_pretrained
from model.decoder.decode import Decoder
from model.network import Network
from model.taxonomy import get_taxonomy
from training.config.train_config import TrainConfig
from training.engine.depthwise import replace_depthwise_convs
from training.engine.initial_weights import load_initial_weights
from training.engine.tfjs import read_tfjs
from training.engine.unit_rms import normalize
from training.losses.model_with_loss import ModelWithLoss


def make_network(config: TrainConfig, pretrained: Path | None = None, start: Path | None = None) -> Network:
    """Build the network: weights of its backbone or of an earlier run, frozen and normalized as configured."""
    network = Network(config.model)
    if pretrained is not None:
        graph = pretrained.suffix == ".json"
        state = read_tfjs(pretrained) if graph else torch.load(pretrained, map_location="cpu", weights_only=True)
        load_pretrained(network.backbone, state)
    if start is not None and (said := load_initial_weights(network, start)):
        tqdm.write(said, file=sys.stderr)
    prepare(network, config)
    return network


def prepare(network: Network, config: TrainConfig) -> None:
    """Freeze and normalize parameters as configured; the network's outputs stay the same."""
    network.backbone.freeze_stages(config.frozen_stages)
    if config.freeze_backbone:
        network.backbone.freeze_pretrained()
    freeze_batch_norm(network.backbone)
    replace_depthwise_convs(network)
    if config.optimizer == "adamw" and config.normalize_pretrained:
        normalize(network.backbone)


def make_model_with_loss(config: TrainConfig, network: Network) -> ModelWithLoss:
    """Join the network and its losses."""
    decoder = Decoder(get_taxonomy(config.model.taxonomy), config.decoder)
    weights = {
        "offset": config.offset_loss_weight,
        **dict.fromkeys(("center", "regression"), config.center_loss_weight),
    }
    return ModelWithLoss(network, decoder, config.precision == "bfloat16", weights)
