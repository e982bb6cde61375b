"""In place of a network: maps made from labels, for tests of what is fitted to a decoder's people."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from model.config import DecoderConfig, ModelConfig
from model.maps import HeadMaps
from model.network import Network
from model.taxonomy import DENSEPOSE_COCO
from tests.figures import draw_figures
from training.data.samples import Sample
from training.transforms.targets import encode, ideal_centers

SIZE = (128, 128)
CONFIG = DecoderConfig(radius=16.0)  # a joint needs 0.7 of its votes
SURE, GHOST = 0.45, 0.12  # probability of heatmaps around people, and where nobody is


def known_samples() -> list[Sample]:
    """Two images of two people, one of nobody."""
    people = [draw_figures(DENSEPOSE_COCO, SIZE, people=2, seed=seed) for seed in (0, 1)]
    nobody = draw_figures(DENSEPOSE_COCO, SIZE, people=0, seed=2)
    return [_numbered(sample, number) for number, sample in enumerate([*people, nobody])]


def _numbered(sample: Sample, number: int) -> Sample:
    """The same with its number as the first pixel, by which the network knows it."""
    image = sample.image.copy()
    image[0, 0] = number
    return replace(sample, image=image)


class KnownNetwork(Network):
    """In place of a network: what the labels say, never quite sure, and a ghost of a person where nobody is."""

    def __init__(self, samples: list[Sample]) -> None:
        nn.Module.__init__(self)
        self.config = ModelConfig()
        self.weight = nn.Parameter(torch.zeros(()))  # says on which device the network is
        self.samples = samples

    def forward(self, image: Tensor) -> HeadMaps:
        sample = self.samples[int(image[0, 0, 0, 0])]
        certainty = SURE
        if not len(sample.keypoints):
            sample, certainty = draw_figures(DENSEPOSE_COCO, SIZE, people=1, seed=9), GHOST
        targets = encode(sample, DENSEPOSE_COCO, CONFIG)
        parts = nn.functional.one_hot(torch.from_numpy(targets.parts[2::4, 2::4]).long(), 15).permute(2, 0, 1)
        heatmap, limbs = torch.from_numpy(targets.heatmap).bool(), torch.from_numpy(targets.limbs)
        center, ways = ideal_centers(targets)
        return HeadMaps(
            part_logits=8.0 * parts[None],
            projection_field=torch.from_numpy(targets.projection)[None].float(),
            heatmap_logits=torch.where(heatmap, torch.logit(torch.tensor(certainty)), -12.0)[None],
            offsets=torch.from_numpy(targets.offsets)[None].float(),
            limb_logits=(12.0 * limbs.float() - 6)[None],
            center_logits=torch.from_numpy(center)[None].float() * 16 - 8,
            regression=torch.from_numpy(ways)[None],
        )
