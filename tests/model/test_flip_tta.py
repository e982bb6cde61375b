"""A canvas and its mirror image: seen alike, averaged where they lie."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from model.config import DecoderConfig, ModelConfig
from model.decoder.decode import Decoder
from model.flip_tta import flip_maps, merge_flipped, stack_flipped
from model.maps import HeadMaps
from model.network import Network
from model.parser import HumanParser
from model.taxonomy import DENSEPOSE_COCO, MHP_V2, PASCAL_PERSON_PART, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample
from training.transforms.targets import encode, ideal_centers

SIZE = (128, 192)
TAXONOMIES = [DENSEPOSE_COCO, MHP_V2, PASCAL_PERSON_PART]


def labels_of(sample: Sample, taxonomy: Taxonomy) -> HeadMaps:
    """A sample's labels as a network without error would say them."""
    targets = encode(sample, taxonomy, DecoderConfig())
    parts = np.eye(len(taxonomy.part_names) + 1)[targets.parts[2::4, 2::4]].transpose(2, 0, 1)
    center, ways = ideal_centers(targets)
    maps = (8 * parts, targets.projection, 8.0 * targets.heatmap - 4, targets.offsets, 8 * targets.limbs - 4)
    maps = (*maps, 8.0 * center - 4, ways)
    return HeadMaps(*(torch.from_numpy(np.asarray(m, np.float32))[None] for m in maps))


def test_the_second_view_is_mirrored() -> None:
    canvas = torch.arange(2 * 4 * 3, dtype=torch.uint8).view(1, 2, 4, 3)
    one, two = stack_flipped(canvas), stack_flipped(canvas.repeat(2, 1, 1, 1))
    assert torch.equal(one, canvas)
    assert torch.equal(two[:1], canvas)
    assert torch.equal(two[1], canvas[0, :, [3, 2, 1, 0]])


@pytest.mark.parametrize("taxonomy", TAXONOMIES, ids=lambda taxonomy: taxonomy.name)
def test_mirrored_maps_decode_to_the_mirror_image(taxonomy: Taxonomy) -> None:
    maps, decoder = labels_of(draw_figures(taxonomy, SIZE, 3, seed=1), taxonomy), Decoder(taxonomy, DecoderConfig())
    straight, turned = decoder(maps), decoder(flip_maps(maps, taxonomy))
    assert int((straight.person_score > 0).sum()) == 3
    x, y, score = straight.keypoints[:, :, list(taxonomy.joint_flip)].unbind(-1)
    expected = torch.stack((torch.where(score > 0, SIZE[1] - 1 - x, 0.0), y, score), -1)
    torch.testing.assert_close(turned.keypoints, expected, rtol=0, atol=1e-3)
    parts = torch.tensor(taxonomy.part_flip, dtype=torch.uint8)
    assert torch.equal(turned.part_map, parts[straight.part_map.long()].flip(-1))
    assert (turned.person_map == straight.person_map.flip(-1)).float().mean() > 0.999
    for found, back in zip(maps, flip_maps(flip_maps(maps, taxonomy), taxonomy), strict=True):
        assert torch.equal(found, back)


@pytest.fixture(scope="module")
def parser() -> HumanParser:
    torch.manual_seed(0)
    return HumanParser(Network(ModelConfig(backbone="resnet18", hidden_dim=16)), DecoderConfig()).eval()


@torch.no_grad()
def test_one_view_is_the_network_alone(parser: HumanParser) -> None:
    canvas = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    maps = parser.network(canvas)
    for found, expected in zip(parser(canvas), parser.decoder(maps), strict=True):
        assert torch.equal(found, expected)
    for found, expected in zip(merge_flipped(maps, DENSEPOSE_COCO), maps, strict=True):
        assert torch.equal(found, expected)


@torch.no_grad()
def test_two_views_of_a_canvas_and_of_its_mirror_image_say_the_same(parser: HumanParser) -> None:
    """Whatever the network's weights are: the average cannot prefer a side."""
    canvas = torch.randint(0, 256, (1, 64, 96, 3), dtype=torch.uint8)
    straight, turned = (
        merge_flipped(parser.network(stack_flipped(c.repeat(2, 1, 1, 1))), DENSEPOSE_COCO)
        for c in (canvas, canvas.flip(2))
    )
    for found, expected in zip(flip_maps(turned, DENSEPOSE_COCO), straight, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
