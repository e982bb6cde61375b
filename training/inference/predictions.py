"""Run a parser on the canvas that fits an image, and map its prediction to the image's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.canvases import best_canvas
from model.contours import enlarge
from model.id_runs import PART_MASK, PERSON_SHIFT
from model.letterbox import Letterbox
from model.manifest import Size
from model.raw_prediction import RawPrediction
from model.two_scales import unite
from training.data.samples import Float32, Sample, UInt8
from training.inference.predictors import Parse, Scales
from training.transforms.augment import letterbox


@dataclass(frozen=True)
class Prediction:
    """A parser's m people in an image. Maps [H, W] as in `RawPrediction`, points in image pixels."""

    part_map: UInt8
    person_map: UInt8  # 0 nobody, i = row i-1
    keypoints: Float32  # [m, K, 3]
    score: Float32  # [m], falling
    part_score: Float32  # [m, C], 0 = absent


def parse_image(parse: Parse, sample: Sample, scales: Scales) -> Prediction:
    """Run a parser on the canvas of each scale that shows the image largest, and map its people to the image."""
    return to_image(*parse_scales(parse, sample, scales), sample.size)


def parse_scales(parse: Parse, sample: Sample, scales: Scales) -> tuple[RawPrediction, Letterbox]:
    """Return the people in the frame of the finest scale's canvas, and the position of the image in it."""
    fitted = [letterbox(sample, best_canvas(sample.size, canvases)) for canvases in scales]
    found = [(parse(canvas.image), box) for canvas, box in fitted]
    if len(found) == 1:
        return found[0]
    (coarse, box_coarse), (fine, box_fine) = found
    return unite(coarse, fine, box_coarse, box_fine), box_fine


def to_image(people: RawPrediction, box: Letterbox, size_image: Size) -> Prediction:
    """Map the filled slots of a canvas to the image, with smoothed contours as in the service; points are clamped."""
    count = int((people.person_score > 0).sum())
    height, width = size_image
    ids = enlarge(people.ids(box), size_image).painted()
    keypoints = people.keypoints[:count].copy()  # [m, K, 3]
    x, y = box.to_image(keypoints[..., 0], keypoints[..., 1])
    keypoints[..., 0], keypoints[..., 1] = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    keypoints[keypoints[..., 2] <= 0] = 0
    return Prediction(
        part_map=(ids & PART_MASK).astype(np.uint8),
        person_map=(ids >> PERSON_SHIFT).astype(np.uint8),
        keypoints=keypoints,
        score=people.person_score[:count],
        part_score=people.part_score[:count],
    )
