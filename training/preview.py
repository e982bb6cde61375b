"""The picture of a training run: what the weights make of a few photos now."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image

from model.network import Network
from model.parser import HumanParser
from model.taxonomy import get_taxonomy
from training.augment import letterbox
from training.config import TrainConfig
from training.pictures import contact_sheet, draw_people
from training.targets import TrainingSet


@torch.no_grad()
def draw_preview(network: Network, data: TrainingSet, indices: Sequence[int], config: TrainConfig) -> Image.Image:
    """A sheet with, for each photo, the labels above the prediction."""
    taxonomy = get_taxonomy(config.model.taxonomy)
    parser = HumanParser(network, config.decoder).eval()
    device = next(network.parameters()).device
    labelled, predicted = [], []
    for index in indices:
        sample = letterbox(data.photos.load(index), config.canvas)[0]
        people = parser(torch.from_numpy(sample.image)[None].to(device))
        found = people.person_score[0] > 0
        labelled.append(draw_people(sample.image, sample.parts, sample.people, sample.keypoints, taxonomy))
        predicted.append(
            draw_people(
                sample.image,
                people.part_map[0].cpu().numpy(),
                people.person_map[0].cpu().numpy(),
                people.keypoints[0][found].cpu().numpy(),
                taxonomy,
            )
        )
    return Image.fromarray(contact_sheet([*labelled, *predicted], columns=len(labelled)))
