"""Training that goes on from the default bundle, of which there is no checkpoint."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.checkpoint import CheckpointError, save_checkpoint
from model.config import DecoderConfig, ModelConfig
from model.manifest import GOLDEN, BundleError, read_bundle
from model.network import Network
from model.parser import HumanParser
from service.settings import DEFAULT_BUNDLE
from training.engine.initial_weights import load_initial_weights, unfold_batch_norm

MANIFEST = read_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(DEFAULT_BUNDLE / GOLDEN) as maps:
        return {name: maps[f"fast_{name}"] for name in ("image", "part_map", "person_map")}


@pytest.fixture(scope="module")
def canvas(golden: dict[str, np.ndarray]) -> Tensor:
    return torch.from_numpy(golden["image"])[None]


@torch.inference_mode()
def test_the_bundles_network_says_what_the_bundle_says(golden: dict[str, np.ndarray], canvas: Tensor) -> None:
    network = Network(MANIFEST.model)
    assert load_initial_weights(network, DEFAULT_BUNDLE) == ""
    people = HumanParser(network, MANIFEST.decoder).eval()(canvas)
    for name in ("part_map", "person_map"):
        assert np.mean(getattr(people, name)[0].numpy() == golden[name]) > 0.999, name
    assert golden["person_map"].max() >= 3  # else nothing was compared


@torch.inference_mode()
def test_batch_norms_take_up_statistics_and_change_nothing(canvas: Tensor) -> None:
    canvas = canvas.repeat(1, 2, 2, 1)
    network = Network(MANIFEST.model).eval()
    load_initial_weights(network, DEFAULT_BUNDLE)
    before = network(canvas)
    unfold_batch_norm(network, canvas)
    after, training = network.eval()(canvas), network.train()(canvas)
    for name, expected, own, trained in zip(before._fields, before, after, training, strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-4, msg=name)
        # Batches are normalised by their own statistics, which here are the same.
        # The field's coarsest level has 264 cells: a variance of so few differs by 0.4 % from that of the population,
        # which batches are normalized by, and the error of a vector doubles with each level.
        atol = 0.05 if name == "projection_field" else 0.02
        torch.testing.assert_close(trained, expected, rtol=0, atol=atol, msg=name)
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(torch.allclose(layer.running_var, torch.ones(())) for layer in norms)


def test_what_does_not_fit_starts_afresh_and_is_named() -> None:
    config = replace(MANIFEST.model, taxonomy="pascal_person_part", pose_prior=False)
    network = Network(config)
    said = load_initial_weights(network, DEFAULT_BUNDLE)
    assert "these start afresh" in said
    assert "part_logits.weight" in said
    assert "backbone" not in said
    whole = Network(MANIFEST.model)
    load_initial_weights(whole, DEFAULT_BUNDLE)
    assert torch.equal(network.backbone.state_dict()["stem.weight"], whole.backbone.state_dict()["stem.weight"])


def test_a_checkpoint_is_taken_too(tmp_path: Path) -> None:
    config = ModelConfig(backbone="resnet18", hidden_dim=16)
    first, second = Network(config), Network(replace(config, refinement_dim=16))
    save_checkpoint(tmp_path / "last.ckpt", first.state_dict(), config, DecoderConfig())
    assert load_initial_weights(second, tmp_path / "last.ckpt").endswith("refinement.corrections, refinement.stage")
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():  # a refinement that has learnt nothing changes nothing
        for a, b in zip(first.eval()(image), second.eval()(image), strict=True):
            assert torch.equal(a, b)


def test_another_backbone_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"another backbone than resnet18, or an older form of it \(no backbone\..*set model\.backbone"
    ):
        load_initial_weights(Network(ModelConfig(backbone="resnet18", hidden_dim=16)), DEFAULT_BUNDLE)


def test_what_is_neither_is_refused_by_name(tmp_path: Path) -> None:
    network = Network(ModelConfig(backbone="resnet18", hidden_dim=16))
    with pytest.raises(BundleError, match="is not a bundle"):
        load_initial_weights(network, tmp_path)
    (tmp_path / "last.ckpt").write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match=r"last\.ckpt"):
        load_initial_weights(network, tmp_path / "last.ckpt")
