"""The quicker depthwise convolution against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from training.engine.depthwise import FastDepthwiseConv2d, replace_depthwise_convs


def depthwise(channels: int = 48, size: int = 5, **changes: object) -> nn.Conv2d:
    values = {"padding": size // 2, "groups": channels, "bias": False, **changes}
    return nn.Conv2d(channels, channels, size, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [5, 7])
@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_output_and_gradients_are_torchs(size: int, memory: torch.memory_format) -> None:
    torch.manual_seed(size)
    layer = depthwise(size=size).double()
    x = torch.randn(2, 48, 13, 11, dtype=torch.float64).contiguous(memory_format=memory)
    found = []
    for convolution in (layer, FastDepthwiseConv2d.of(layer)):
        image = x.clone().requires_grad_()
        layer.weight.grad = None
        out = convolution(image)
        (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)).sum().backward()
        found.append((out.detach(), image.grad, layer.weight.grad))
    for expected, own in zip(*found, strict=True):
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(own, expected)


def test_in_bfloat16_it_rounds_as_torch_does() -> None:
    torch.manual_seed(0)
    layer, x = depthwise(), torch.randn(2, 48, 16, 16)
    gradients = []
    for convolution in (layer, FastDepthwiseConv2d.of(layer)):
        layer.weight.grad = None
        with torch.autocast("cpu", torch.bfloat16):
            out = convolution(x)
        assert out.dtype == torch.bfloat16
        out.float().square().sum().backward()
        gradients.append(layer.weight.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=0.02, atol=0.02 * float(gradients[0].abs().max()))


def test_gradients_of_filters_alone_and_of_the_input_alone() -> None:
    layer = FastDepthwiseConv2d.of(depthwise(16))
    x = torch.randn(1, 16, 8, 8, requires_grad=True)
    layer.weight.requires_grad_(False)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
    layer.weight.requires_grad_(True)
    layer(x.detach()).sum().backward()
    assert layer.weight.grad is not None


def test_only_large_depthwise_layers_are_replaced_and_parameters_stay() -> None:
    left = {
        "small": depthwise(size=3),
        "biased": depthwise(bias=True),
        "strided": depthwise(stride=2),
        "dilated": depthwise(dilation=2),
        "reflecting": depthwise(padding_mode="reflect"),
        "unpadded": depthwise(padding=0),
        "odd": depthwise(channels=40),
        "full": nn.Conv2d(48, 48, 5, padding=2, bias=False),
    }
    module = nn.ModuleDict({"block": nn.Sequential(depthwise(), nn.ReLU()), **left})
    before = dict(module.named_parameters())
    replace_depthwise_convs(module)
    assert {name for name, layer in module.named_modules() if isinstance(layer, FastDepthwiseConv2d)} == {"block.0"}
    after = dict(module.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
