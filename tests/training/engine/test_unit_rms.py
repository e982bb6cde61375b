"""Pretrained tensors of any size move in proportion to it, and what they computed stays."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from training.engine.unit_rms import load_plain_state, normalize, plain_state


def folded() -> nn.Sequential:
    """Two layers whose weights differ by five orders of magnitude, as folded batch norms leave them."""
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
    with torch.no_grad():
        layers[0].weight *= 1e-4
        layers[0].bias.fill_(1e-5)
        layers[0].weight[3] *= 1e-2
        layers[2].weight *= 1e4
    return layers


def test_a_normalized_module_computes_the_same_with_unit_originals() -> None:
    layers, image = folded(), torch.rand(1, 3, 8, 8)
    expected = layers(image)
    normalize(layers)
    torch.testing.assert_close(layers(image), expected)
    original = layers[0].parametrizations.weight.original
    torch.testing.assert_close(original.square().mean((1, 2, 3)), torch.ones(8))


def test_a_step_of_adam_moves_each_channel_by_the_rate_times_its_size() -> None:
    layers = folded()
    normalize(layers)
    before = layers[0].weight.detach().clone()
    optimizer = torch.optim.AdamW(layers.parameters(), lr=1e-3, weight_decay=0.0)
    layers(torch.rand(1, 3, 8, 8)).square().sum().backward()
    optimizer.step()
    size = before.square().mean((1, 2, 3)).sqrt()
    moved = (layers[0].weight - before).abs().amax((1, 2, 3))
    learning = moved > 0
    assert learning.sum() > 2
    torch.testing.assert_close(
        moved[learning] / size[learning], torch.full((int(learning.sum()),), 1e-3), rtol=0.02, atol=0
    )


def test_the_plain_state_equals_that_of_a_module_without_normalization() -> None:
    layers = folded()
    expected = copy.deepcopy(layers.state_dict())
    normalize(layers)
    found = plain_state(layers)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    again = folded()
    normalize(again)
    load_plain_state(again, {name: 2 * value for name, value in expected.items()})
    for name, value in plain_state(again).items():
        torch.testing.assert_close(value, 2 * expected[name])


def test_frozen_and_empty_tensors_stay_as_they_are() -> None:
    layers = folded()
    layers[0].requires_grad_(False)
    nn.init.zeros_(layers[2].bias)
    normalize(layers)
    assert set(dict(layers.named_parameters())) == {
        "0.weight", "0.bias", "2.bias", "2.parametrizations.weight.original"
    }  # fmt: skip


@pytest.mark.parametrize("normalized", [False, True])
def test_a_copy_for_the_moving_average_is_complete(normalized: bool) -> None:
    layers = folded()
    if normalized:
        normalize(layers)
    average = torch.optim.swa_utils.AveragedModel(layers, use_buffers=True)
    image = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(average(image), layers(image))
