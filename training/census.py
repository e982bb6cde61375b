"""What a data set holds: people, joints and parts, counted photo by photo."""

from __future__ import annotations

import numpy as np

from model.taxonomy import IGNORE, Taxonomy
from training.samples import Sample


class Census:
    """Counts over the photos that were added."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.photos = self.empty = self.people = self.masks = 0
        joints = len(taxonomy.joint_names)
        self.visible, self.occluded, self.unlabelled = (np.zeros(joints, np.int64) for _ in range(3))  # [K]
        self.pixels = np.zeros(256, np.int64)  # by part id
        self.unknown_people = 0  # pixels that may be anybody's

    def add(self, sample: Sample) -> None:
        """Count one photo."""
        self.photos += 1
        self.empty += len(sample.keypoints) == 0
        self.people += len(sample.keypoints)
        self.masks += int(sample.has_mask.sum())
        self.visible += (sample.keypoints[:, :, 2] == 2).sum(axis=0)
        self.occluded += (sample.keypoints[:, :, 2] == 1).sum(axis=0)
        self.unlabelled += (~sample.joints_labelled).sum(axis=0)
        self.pixels += np.bincount(sample.parts.ravel(), minlength=256)
        self.unknown_people += int((sample.people == IGNORE).sum())

    def table(self) -> str:
        """The counts as lines of text."""
        pixels = max(int(self.pixels.sum()), 1)
        lines = [
            f"people    {self.people:,}, {self.masks:,} with a mask; {self.empty:,} photos show nobody",
            f"unknown   {self.pixels[IGNORE] / pixels:.2%} of pixels have no known part, "
            f"{self.unknown_people / pixels:.2%} no known person",
            "",
            f"{'joint':<16}{'visible':>9}{'hidden':>9}{'not labelled':>14}",
        ]
        rows = zip(self.taxonomy.joint_names, self.visible, self.occluded, self.unlabelled, strict=True)
        for name, visible, occluded, unlabelled in rows:
            lines.append(f"{name:<16}{visible:>9,}{occluded:>9,}{unlabelled:>14,}")
        lines += ["", f"{'part':<26}{'pixels':>14}{'share':>9}"]
        for part, name in enumerate(("background", *self.taxonomy.part_names)):
            lines.append(f"{name:<26}{self.pixels[part]:>14,}{self.pixels[part] / pixels:>9.2%}")
        return "\n".join(lines)
