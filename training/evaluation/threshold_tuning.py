"""Tune the decoder's thresholds for trained weights on training images: two passes of coordinate search.

Held-out images measure the result. Tuned on them, it would look better than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from tqdm import tqdm

from model.canvases import best_canvas
from model.config import DecoderConfig
from model.decoder.decode import Decoder
from model.letterbox import Letterbox
from model.manifest import Size
from model.maps import HeadMaps
from model.parser import HumanParser
from training.data.datasets.base import SYNTHETIC, ImageDataset
from training.data.samples import Sample
from training.evaluation.evaluate import subsample
from training.evaluation.image_metrics import compute_metrics, measure
from training.inference.predictions import to_image
from training.inference.predictors import first_canvas
from training.transforms.augment import letterbox

# In the order in which they are chosen: a joint must be found before it can be joined, and joined to be a person.
CHOICES: dict[str, tuple[Any, ...]] = {
    "peak_window": (3, 5, 7),
    "keypoint_threshold": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7),
    "limb_threshold": (0.05, 0.1, 0.2, 0.3),
    "person_threshold": (0.05, 0.1, 0.15, 0.2, 0.3),
}
PASSES = 2  # a lower joint threshold may help once weak people are left out
EMPTY = 0.95  # lowest true-negative rate (TNR) that costs nothing; a shortfall is subtracted from the objective


class Trial(NamedTuple):
    """A decoder configuration and its metrics."""

    config: DecoderConfig
    keypoint_ap: float
    mask_iou: float
    true_negative_rate: float  # of the person-free images; 1 if there are none

    @property
    def objective(self) -> float:
        """Keypoint AP + mean best mask IoU - max(0, EMPTY - TNR); larger is better."""
        return self.keypoint_ap + self.mask_iou - max(0.0, EMPTY - self.true_negative_rate)


@dataclass(frozen=True)
class _Seen:
    """An image and its head maps."""

    sample: Sample
    negative: bool
    box: Letterbox
    maps: HeadMaps


def select_images(dataset: ImageDataset, training: Sequence[int], count: int) -> list[int]:
    """Return at most `count` real images with people, human-annotated ones if any, and as many person-free ones."""
    real = [i for i in training if dataset.records[i].source != SYNTHETIC] or list(training)
    people = [i for i in real if not dataset.records[i].negative]
    human = [i for i in people if dataset.records[i].ground_truth]
    nobody = [i for i in real if dataset.records[i].negative]
    return [*subsample(human or people, count), *subsample(nobody, count)]


def tune_thresholds(
    parser: HumanParser, dataset: ImageDataset, indices: Sequence[int], canvases: Sequence[Size]
) -> list[Trial]:
    """Return every trial, best first; the parser's own decoder is one of them.

    The network runs once per image. Raises DatasetError if an image cannot be read.
    """
    seen = [_look(parser, dataset, i, canvases) for i in tqdm(indices, desc="network", unit="image")]
    taxonomy = parser.decoder.taxonomy

    def attempt(config: DecoderConfig) -> Trial:
        decoder = Decoder(taxonomy, config).to(seen[0].maps.part_logits.device)
        metrics = []
        for image in seen:
            with torch.inference_mode():
                people = first_canvas(decoder(image.maps))
            found = to_image(people, image.box, image.sample.size)
            metrics.append(measure(image.sample, found, taxonomy, image.negative))
        report = compute_metrics(metrics, taxonomy)
        nobody = report["persons"]["true_negative_rate"]
        ap, iou = report["keypoints"]["AP"] or 0.0, report["masks"]["mean_IoU"] or 0.0
        return Trial(config, ap, iou, 1.0 if nobody is None else nobody)

    trials = {parser.decoder.config: attempt(parser.decoder.config)}
    rounds = PASSES * list(CHOICES.items())
    bar = tqdm(total=sum(len(values) for _, values in rounds), desc="tune-decoder", unit="trial")
    for name, values in rounds:
        best = max(trials.values(), key=lambda trial: trial.objective)
        for value in values:
            config = replace(best.config, **{name: value})
            if config not in trials:
                trials[config] = attempt(config)
            bar.update()
    bar.close()
    return sorted(trials.values(), key=lambda trial: -trial.objective)


def trial_table(trials: Sequence[Trial]) -> str:
    """Format trials as a Markdown table."""
    names = list(CHOICES)
    head = ["objective", "keypoint AP", "mask IoU", "TNR", *names]
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    for trial in trials:
        metrics = [f"{x:.3f}" for x in (trial.objective, trial.keypoint_ap, trial.mask_iou, trial.true_negative_rate)]
        lines.append("| " + " | ".join([*metrics, *(f"{getattr(trial.config, name):g}" for name in names)]) + " |")
    return "\n".join(lines)


@torch.inference_mode()
def _look(parser: HumanParser, dataset: ImageDataset, index: int, canvases: Sequence[Size]) -> _Seen:
    sample = dataset.load(index)
    canvas, box = letterbox(sample, best_canvas(sample.size, canvases))
    device = next(parser.parameters()).device
    maps = parser.network(torch.from_numpy(canvas.image)[None].to(device))
    return _Seen(sample, dataset.records[index].negative, box, maps)
