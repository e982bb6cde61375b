"""Training may not kill what a backbone knew: the fault of the default weights 2 to 4."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from model.backbones.build import load_pretrained
from model.network import Network
from tests.model.test_movenet import public_state
from training.config.recipes import RECIPES
from training.config.train_config import TrainConfig
from training.engine.channel_health import LEAST_ALIVE, ChannelHealth, DeadBackboneError
from training.engine.network import prepare
from training.engine.optimizer import make_optimizer
from training.losses.model_with_loss import ModelWithLoss

CANVASES = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
RATE = 1.2e-3  # of version 4
STEPS = 20


def start() -> Network:
    """MoveNet's layers, with the last of the pyramid as small as batch norms folded into it leave it."""
    config = RECIPES["default_weights"]().model
    network = Network(replace(config, hidden_dim=16, refinement_dim=0))
    state = public_state()
    load_pretrained(network.backbone, state)
    with torch.no_grad():
        network.backbone.get_parameter("fuse.2.pointwise.weight").mul_(1e-3)
        network.backbone.get_parameter("fuse.2.pointwise.bias").fill_(1e-4)
    return network


def trained(config: TrainConfig) -> tuple[ChannelHealth, Network]:
    """The backbone after some steps that ask its finest features to be less."""
    network = start()
    health = ChannelHealth(network, CANVASES)
    prepare(network, config)
    optimizer = make_optimizer(config, ModelWithLoss(network, torch.nn.Identity()))  # type: ignore[arg-type]
    for group in optimizer.param_groups:
        group["lr"] = RATE * config.backbone_lr_mult
    for _ in range(STEPS):
        optimizer.zero_grad()
        network.backbone(network.normalized(CANVASES))[0][:, 40:64].mean().backward()
        optimizer.step()
    return health, network


def test_rates_in_proportion_to_size_keep_every_channel_alive() -> None:
    health, network = trained(RECIPES["default_weights"]())
    assert health.check(network) > LEAST_ALIVE
    assert health.alive(network)["X_1"] > 0.99


def test_the_same_rate_for_all_sizes_kills_channels_and_stops_the_run() -> None:
    health, network = trained(replace(RECIPES["default_weights"](), normalize_pretrained=False))
    with pytest.raises(DeadBackboneError, match=r"pretrained channels still vary \(worst inputs: .*start again from"):
        health.check(network)


def test_channels_that_were_dead_as_published_do_not_count() -> None:
    network = start()
    with torch.no_grad():
        network.backbone.get_parameter("fuse.2.pointwise.weight")[:12] = 0
        network.backbone.get_parameter("fuse.2.pointwise.bias")[:12] = -1
    assert ChannelHealth(network, CANVASES).check(network) == 1.0


def test_a_resumed_run_compares_with_the_same_start() -> None:
    health, network = trained(replace(RECIPES["default_weights"](), normalize_pretrained=False))
    later = ChannelHealth(network, CANVASES)
    assert later.check(network) == 1.0
    later.load_state(health.state())
    with pytest.raises(DeadBackboneError):
        later.check(network)
