from __future__ import annotations

import pytest
import torch
from torch import Tensor

from model.config import ModelConfig
from model.network import BODY_CELLS, RADIUS_CELLS, Network, canvas_logits
from model.taxonomy import TAXONOMIES


def small(**changes: object) -> ModelConfig:
    return ModelConfig(**({"backbone": "resnet18", "hidden_dim": 16} | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=str)
def test_maps_have_the_taxonomys_channels_at_stride_4(taxonomy) -> None:
    maps = Network(small(taxonomy=taxonomy.name))(torch.zeros(2, 64, 96, 3, dtype=torch.uint8))
    parts, joints, limbs = len(taxonomy.part_names), len(taxonomy.joint_names), len(taxonomy.limbs)
    assert [tuple(m.shape) for m in maps] == [
        (2, parts + 1, 16, 24), (2, 2, 16, 24), (2, joints, 16, 24), (2, joints, 2, 16, 24), (2, limbs, 16, 24),
        (2, 1, 16, 24), (2, joints, 2, 16, 24),
    ]  # fmt: skip


def test_an_image_does_not_depend_on_its_batch_mates() -> None:
    torch.manual_seed(2)
    network = Network(small()).eval()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    other = torch.cat([images[:1], 255 - images[1:]])
    with torch.no_grad():
        for a, b in zip(network(images), network(other), strict=True):
            assert torch.equal(a[0], b[0])


def test_residual_blocks_start_without_effect_and_learn() -> None:
    image = torch.randint(0, 256, (2, 64, 96, 3), dtype=torch.uint8)
    plain, deep = Network(small()).eval(), Network(small(pyramid_blocks=2)).eval()
    deep.load_state_dict(plain.state_dict(), strict=False)
    torch.testing.assert_close(deep(image), plain(image), rtol=0, atol=0)
    blocks = deep.pyramid_blocks
    for parameter in blocks.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    maps, fields = deep.train().forward_with_levels(image)
    assert not torch.equal(maps.part_logits, plain(image).part_logits)
    sum(x.square().sum() for x in (*maps, *fields)).backward()  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.any() for p in blocks.parameters())
    assert [len(level) for level in blocks] == [2, 2, 2]  # type: ignore[arg-type]


def test_a_refinement_corrects_every_map_of_the_decoder() -> None:
    torch.manual_seed(3)
    network = Network(small(refinement_dim=16)).eval()
    assert network.refinement is not None
    image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
    before, fields = network.forward_with_levels(image)
    sum(m.sum() for m in before).backward()  # it starts at zero, and learns from there
    assert all(p.grad is not None and p.grad.any() for p in network.refinement.corrections.parameters())
    torch.nn.init.ones_(network.refinement.corrections.bias)
    after, corrected = network.forward_with_levels(image)
    for name, a, b in zip(before._fields, before, after, strict=True):
        shift = {"offsets": RADIUS_CELLS, "regression": BODY_CELLS}.get(name, 1.0)  # what they are learnt in units of
        torch.testing.assert_close(b, a + shift, rtol=0, atol=1e-4, msg=name)
    assert torch.equal(corrected[0], after.projection_field)
    assert all(torch.equal(a, b) for a, b in zip(fields[1:], corrected[1:], strict=True))


def test_canvas_logits_keep_a_constant_and_the_size() -> None:
    logits: Tensor = canvas_logits(torch.full((1, 3, 4, 5), 2.5))
    assert logits.shape == (1, 3, 16, 20)
    assert torch.equal(logits, torch.full_like(logits, 2.5))
