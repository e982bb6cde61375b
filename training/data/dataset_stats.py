"""Statistics of a data set: counts of people, joints and parts."""

from __future__ import annotations

import numpy as np

from model.taxonomy import IGNORE, Taxonomy
from training.data.datasets.base import ImageDataset
from training.data.licenses import count_licenses
from training.data.samples import Sample

CANDIDATES = (20, 32)  # decoder candidates per joint class: N of the graph contract, and a larger one
SLOTS = 32  # people that the decoder can return: P


class DatasetStats:
    """Counts over all images passed to `add`."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.images = self.empty = self.people = self.masks = 0
        joints = len(taxonomy.joint_names)
        self.visible, self.occluded, self.unlabelled = (np.zeros(joints, np.int64) for _ in range(3))  # [K]
        self.pixels = np.zeros(256, np.int64)  # by part id
        self.unknown_people = 0  # pixels of unknown people
        self.per_image: list[tuple[int, int]] = []  # per image with people: their number, most joints of one class

    def add(self, sample: Sample) -> None:
        """Count one image."""
        self.images += 1
        self.empty += len(sample.keypoints) == 0
        self.people += len(sample.keypoints)
        self.masks += int(sample.has_mask.sum())
        self.visible += (sample.keypoints[:, :, 2] == 2).sum(axis=0)
        self.occluded += (sample.keypoints[:, :, 2] == 1).sum(axis=0)
        self.unlabelled += (~sample.joints_labelled).sum(axis=0)
        self.pixels += np.bincount(sample.parts.ravel(), minlength=256)
        self.unknown_people += int((sample.people == IGNORE).sum())
        if len(sample.keypoints):
            joints = (sample.keypoints[:, :, 2] > 0).sum(axis=0)  # [K]
            self.per_image.append((len(sample.keypoints), int(joints.max())))

    def table(self) -> str:
        """Format the counts as text."""
        pixels = max(int(self.pixels.sum()), 1)
        lines = [
            f"people    {self.people:,}, {self.masks:,} with a mask; {self.empty:,} images show nobody",
            f"unknown   {self.pixels[IGNORE] / pixels:.2%} of pixels have no known part, "
            f"{self.unknown_people / pixels:.2%} no known person",
            *self._limit_lines(),
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

    def _limit_lines(self) -> list[str]:
        """Tabulate people and joints per class in images with people, and how many exceed the decoder's limits.

        An image exceeds a limit if it has more. The share of people is the sum of the excess over all images: at least
        so many lack a joint, or a slot.
        """
        if not self.per_image:
            return []
        people, joints = np.array(self.per_image).T  # [images with people] each
        lines = ["", f"{'a image with people has':<26}{'50 %':>7}{'90 %':>7}{'99 %':>7}{'most':>7}"]
        for name, counts in (("people", people), ("joints of the same kind", joints)):
            numbers = np.percentile(counts, (50, 90, 99, 100), method="inverted_cdf").tolist()
            lines.append(f"{name:<26}" + "".join(f"{number:>7}" for number in numbers))
        limits = [(f"{n} joints of a kind", joints, n) for n in CANDIDATES] + [(f"{SLOTS} people", people, SLOTS)]
        for name, counts, limit in limits:
            excess = np.maximum(counts - limit, 0)
            images, shares = (excess > 0).sum(), ((excess > 0).mean(), excess.sum() / people.sum())
            lines.append(f"{f'beyond {name}':<26}{images:>7,} images, {shares[0]:.2%}, {shares[1]:.2%} of people")
        return lines


def license_table(dataset: ImageDataset) -> str:
    """Tabulate images by license, for the whole set and both parts of its split. Reads no image."""
    parts = (range(len(dataset)), *dataset.split())
    total, training, validation = (count_licenses(dataset.records[i].license for i in part) for part in parts)
    lines = [f"{'license':<22}{'images':>9}{'to train on':>14}{'held out':>11}"]
    for code, count in total.items():
        lines.append(f"{code:<22}{count:>9,}{training.get(code, 0):>14,}{validation.get(code, 0):>11,}")
    return "\n".join(lines)
