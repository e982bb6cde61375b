"""The method as one writes it in Python first: network and decoder in eager torch, joints matched one limb at a time.

Nothing is exported or compiled. It is what `humanparse bench --checkpoint` measures the server against.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from model.canvases import CANVASES, SCALES
from model.checkpoint import load_parser
from model.decoder.decode import Decoder
from model.decoder.peaks import Candidates
from model.parser import HumanParser
from training.data.datasets.base import read_image
from training.inference.predictions import parse_scales
from training.inference.predictors import parse_with
from training.studies.latency.synthetic_scenes import unlabelled


class EagerDecoder(Decoder):
    """The decoder with scipy's exact assignment, called in a loop over the limbs."""

    def match(self, scores: Tensor, candidates: Candidates) -> Tensor:
        """[B, L, N, N] of 0 and 1: the assignment of the greatest sum over valid candidates, without weak pairs."""
        matches = torch.zeros_like(scores)
        for image in range(scores.shape[0]):
            for limb, (start, end) in enumerate(self.limbs.T.tolist()):
                rows = candidates.valid[image, start].nonzero()[:, 0]
                cols = candidates.valid[image, end].nonzero()[:, 0]
                values = scores[image, limb][rows][:, cols]
                for row, col in zip(*linear_sum_assignment(values.numpy(), maximize=True), strict=True):
                    if values[row, col] >= self.config.limb_threshold:
                        matches[image, limb, rows[row], cols[col]] = 1.0
        return matches


class EagerParser:
    """A checkpoint in float32 on the CPU."""

    def __init__(self, checkpoint: Path, detail: str) -> None:
        """Raises CheckpointError."""
        trained = load_parser(checkpoint)
        parser = HumanParser(trained.network, trained.decoder.config)
        parser.decoder = EagerDecoder(trained.decoder.taxonomy, trained.decoder.config)
        self._parse = parse_with(parser.eval())
        self._scales = [CANVASES[name] for name in SCALES.get(detail, (detail,))]
        self._joints = len(trained.decoder.taxonomy.joint_names)

    def measure(self, image: Path) -> tuple[float, int]:
        """Return the milliseconds from a file to the people on the canvas, and their number. Raises DatasetError."""
        start = time.perf_counter()
        people, _ = parse_scales(self._parse, unlabelled(read_image(image, "RGB"), self._joints), self._scales)
        return 1e3 * (time.perf_counter() - start), int((people.person_score > 0).sum())
