"""A parser's people in an image: run it on the canvas that fits, bring the answer back to the image's pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from model.canvas_people import CanvasPeople
from model.canvases import best_canvas
from model.contours import enlarge
from model.id_runs import PART_MASK, PERSON_SHIFT
from model.letterbox import Letterbox
from model.manifest import Size
from model.two_scales import unite
from training.data.samples import Float32, Sample, UInt8
from training.inference.predictors import Parse, Scales
from training.transforms.augment import letterbox


@dataclass(frozen=True)
class Prediction:
    """A parser's m people in an image. Maps [H, W] as in `CanvasPeople`, points in the image's pixels."""

    part_map: UInt8
    person_map: UInt8  # 0 nobody, i = row i-1
    keypoints: Float32  # [m, K, 3]
    score: Float32  # [m], falling
    part_score: Float32  # [m, C], 0 = absent


def parse_image(parse: Parse, sample: Sample, scales: Scales) -> Prediction:
    """Run a parser on the canvas of each scale that shows the image largest, and bring its people back to the image."""
    return to_image(*parse_scales(parse, sample, scales), sample.size)


def parse_scales(parse: Parse, sample: Sample, scales: Scales) -> tuple[CanvasPeople, Letterbox]:
    """The people in the frame of the finest scale's canvas, and where the image lies in it."""
    fitted = [letterbox(sample, best_canvas(sample.size, canvases)) for canvases in scales]
    found = [(parse(canvas.image), box) for canvas, box in fitted]
    if len(found) == 1:
        return found[0]
    (coarse, box_coarse), (fine, box_fine) = found
    return unite(coarse, fine, box_coarse, box_fine), box_fine


def to_image(people: CanvasPeople, box: Letterbox, size_image: Size) -> Prediction:
    """The filled slots of a canvas in the image, contours smoothed as the service does; points clamped to the image."""
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
