"""The metrics once more, written from their published definitions as plainly as possible: masks, loops, no sharing.

They are what `training.evaluation.metrics` is compared with, on `random_images` that hold every edge case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

IGNORE = 255
NAN = float("nan")


@dataclass
class LabelledImage:
    """Labels and prediction of one image; people are numbered from 1 in the maps."""

    parts: np.ndarray  # [H, W], 255 unknown
    people: np.ndarray
    count: int  # labelled people, who may have no pixel
    found_parts: np.ndarray
    found_people: np.ndarray
    score: np.ndarray  # [m], falling
    part_score: np.ndarray  # [m, C]


def random_image(rng: np.random.Generator, classes: int, ignore: bool) -> LabelledImage:
    """Up to four labelled and five found people: halves, shifts, inventions, ties of score; parts come in bands."""
    height, width = int(rng.integers(12, 26)), int(rng.integers(12, 26))
    count = int(rng.integers(0, 5))
    people = np.zeros((height, width), np.uint8)
    for person in range(1, count + 1):
        _paint(people, person, rng)  # who is painted over entirely has no pixel
    bands = rng.integers(1, classes + 1, (5, 1 + width // 5)).astype(np.uint8)
    band = bands[np.minimum(np.arange(height) // 5, 4)][:, np.arange(width) // 5]  # [H, W]
    parts = np.where(people > 0, band, 0).astype(np.uint8)

    most = int(rng.integers(0, 6))
    shift = int(rng.integers(0, 3))
    found_people = np.roll(np.where(people <= most, people, 0), shift, axis=1).astype(np.uint8)
    if rng.random() < 0.4 and 0 < count < most:
        half = (found_people == 1) & (np.arange(width) % 2 == 0)  # one person found twice
        found_people[half] = most
    if rng.random() < 0.4 and most:
        _paint(found_people, most, rng)
    noise = rng.integers(1, classes + 1, (height, width))
    found_band = np.where(rng.random((height, width)) < rng.choice([0, 0.1, 0.5]), noise, np.roll(band, shift, axis=1))
    found_parts = np.where(found_people > 0, found_band, 0).astype(np.uint8)
    if ignore:
        for _ in range(int(rng.integers(0, 3))):
            hidden = np.zeros((height, width), np.uint8)
            _paint(hidden, 1, rng)
            parts[hidden > 0] = IGNORE
            if rng.random() < 0.5:
                people[hidden > 0] = IGNORE
        if rng.random() < 0.3:
            parts[people == 1] = IGNORE  # nothing is known of somebody's parts
    score = np.sort(rng.choice([0.9, 0.7, 0.7, 0.4, 0.1], most))[::-1].astype(np.float32)
    part_score = rng.choice([0.8, 0.6, 0.3], (most, classes)).astype(np.float32)
    return LabelledImage(parts, people, count, found_parts, found_people, score, part_score)


def _paint(canvas: np.ndarray, value: int, rng: np.random.Generator) -> None:
    y, x = rng.integers(0, canvas.shape[0] - 4), rng.integers(0, canvas.shape[1] - 4)
    canvas[y : y + rng.integers(3, 16), x : x + rng.integers(3, 16)] = value


def random_images(seed: int, classes: int = 4, ignore: bool = False) -> list[LabelledImage]:
    """One to five images, of which some show nobody and in some nobody is found."""
    rng = np.random.default_rng((seed, classes, ignore))
    return [random_image(rng, classes, ignore) for _ in range(int(rng.integers(1, 6)))]


def mean_iou(images: list[LabelledImage], classes: int) -> float:
    """Of the classes that occur, background included."""
    values = []
    for c in range(classes + 1):
        shared = total = 0
        for image in images:
            known = image.parts != IGNORE
            labelled, found = (image.parts == c) & known, (image.found_parts == c) & known
            shared += (labelled & found).sum()
            total += (labelled | found).sum()
        if total:
            values.append(shared / total)
    return float(np.mean(values)) if values else NAN


def average_precision(hits: list[bool], positives: int) -> float:
    """All-points VOC average precision of predictions in the order of their scores."""
    if positives == 0:
        return NAN
    recall, precision, right = [0.0], [0.0], 0
    for rank, hit in enumerate(hits, start=1):
        right += hit
        recall.append(right / positives)
        precision.append(right / rank)
    area = 0.0
    for i in range(1, len(recall)):
        if recall[i] != recall[i - 1]:
            area += (recall[i] - recall[i - 1]) * max(precision[i:])
    return area


def _known(image: LabelledImage) -> np.ndarray:
    return (image.parts != IGNORE) & (image.people != IGNORE)


def _person_classes(image: LabelledImage, person: int) -> np.ndarray:
    """One labelled person's part of each known pixel, 0 elsewhere."""
    return np.where(image.people == person, image.parts, 0)[_known(image)]


def _found_classes(image: LabelledImage, person: int) -> np.ndarray:
    return np.where(image.found_people == person, image.found_parts, 0)[_known(image)]


def _class_ious(labelled: np.ndarray, found: np.ndarray, classes: int) -> list[float]:
    """From a histogram [C+1, C+1] of pixels, as the MHP v2 script makes one for each pair of people."""
    histogram = np.zeros((classes + 1, classes + 1), int)
    for a, b in zip(labelled.tolist(), found.tolist(), strict=True):
        histogram[a, b] += 1
    ious = []
    for c in range(classes + 1):
        union = histogram[c].sum() + histogram[:, c].sum() - histogram[c, c]
        ious.append(histogram[c, c] / union if union else NAN)
    return ious


def person_parts(images: list[LabelledImage], classes: int, threshold: float) -> tuple[float, float]:
    """AP^p and PCP at a threshold.

    All predictions in one list by score. Each goes to the person of highest mean IoU, the first of equals; it is right
    where that exceeds the threshold and nobody was there before. Who has no known pixel is not to be found. A wrong
    prediction that lies mostly on unknown pixels is not in the list.
    """
    ranked = [(-float(s), p, j) for p, image in enumerate(images) for j, s in enumerate(image.score)]
    ranked.sort(key=lambda entry: entry[0])
    real = {
        (p, i): _person_classes(image, i)
        for p, image in enumerate(images)
        for i in range(1, image.count + 1)
        if _person_classes(image, i).any()
    }
    hits, shares = [], dict.fromkeys(real, 0.0)
    used = set()
    for _, p, j in ranked:
        found = _found_classes(images[p], j + 1)
        best, best_value, best_ious = None, -1.0, []
        for key, labelled in real.items():
            if key[0] == p:
                ious = _class_ious(labelled, found, classes)
                if np.nanmean(ious) > best_value:
                    best, best_value, best_ious = key, float(np.nanmean(ious)), ious
        hit = best is not None and best_value > threshold and best not in used
        if hit:
            used.add(best)
            present = [c for c in range(1, classes + 1) if (real[best] == c).any()]
            shares[best] = sum(best_ious[c] > threshold for c in present) / len(present)
        everywhere = images[p].found_people == j + 1
        if hit or not 2 * (everywhere & ~_known(images[p])).sum() > everywhere.sum():
            hits.append(hit)
    return average_precision(hits, len(real)), float(np.mean(list(shares.values()))) if shares else NAN


def part_ap(images: list[LabelledImage], part: int, threshold: float, one_to_one: bool) -> float:
    """AP^r of one part: of each person's region of it, by the score of the part."""
    positives, entries = 0, []
    for p, image in enumerate(images):
        known = _known(image)
        labelled = [(image.people == i) & (image.parts == part) & known for i in range(1, image.count + 1)]
        labelled = [mask for mask in labelled if mask.any()]
        positives += len(labelled)
        found = []
        for j in range(len(image.score)):
            everywhere = (image.found_people == j + 1) & (image.found_parts == part)
            if (everywhere & known).any():
                found.append((-float(image.part_score[j, part - 1]), everywhere))
        found.sort(key=lambda entry: entry[0])
        free = list(range(len(labelled)))
        for score, everywhere in found:
            mask = everywhere & known
            rivals = free if one_to_one else range(len(labelled))
            best, best_iou = -1, -1.0
            for i in rivals:
                iou = (mask & labelled[i]).sum() / (mask | labelled[i]).sum()
                if iou > best_iou:
                    best, best_iou = i, iou
            hit = best_iou > threshold
            if hit and one_to_one:
                free.remove(best)
            if hit or not 2 * (everywhere & ~known).sum() > everywhere.sum():
                entries.append((score, p, hit))
    entries.sort(key=lambda entry: entry[0])
    return average_precision([hit for *_, hit in entries], positives)


def mask_ap(images: list[LabelledImage], threshold: float) -> float:
    """COCO's average precision of person masks at one threshold: at least it, second choices allowed, 101 recalls."""
    positives, entries = 0, []
    for image in images:
        known = image.people != IGNORE
        labelled = [(image.people == i) & known for i in range(1, image.count + 1)]
        labelled = [mask for mask in labelled if mask.any()]
        positives += len(labelled)
        free = list(range(len(labelled)))
        for j, score in enumerate(image.score):
            everywhere = image.found_people == j + 1
            mask = everywhere & known
            ious = {i: (mask & labelled[i]).sum() / (mask | labelled[i]).sum() for i in free}
            ious = {i: iou for i, iou in ious.items() if iou >= threshold}
            if ious:
                best = max(ious.values())
                free.remove(max(i for i, iou in ious.items() if iou == best))  # COCO: the last of equals
            if ious or not 2 * (everywhere & ~known).sum() > everywhere.sum():
                entries.append((-float(score), bool(ious)))
    if not positives:
        return NAN
    entries.sort(key=lambda entry: entry[0])
    hits = [hit for _, hit in entries]
    points = [(sum(hits[: k + 1]) / positives, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits))]
    samples = [max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
    return float(np.mean(samples))


def contour(mask: np.ndarray, known: np.ndarray) -> list[tuple[int, int]]:
    """Pixels of a mask with a known neighbour outside of it, above, below, left or right."""
    height, width = mask.shape
    points = []
    for y in range(height):
        for x in range(width):
            if mask[y, x] and known[y, x]:
                around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
                inside = [(a, b) for a, b in around if 0 <= a < height and 0 <= b < width]
                if any(known[q] and not mask[q] for q in inside):
                    points.append((y, x))
    return points


def boundary_counts(labelled: np.ndarray, found: np.ndarray, unknown: np.ndarray) -> list[int]:
    """Contour pixels: labelled, of them found, judged, of them right; within 0.8 % of the diagonal, rounded up."""
    limit = math.ceil(0.008 * math.hypot(*labelled.shape))
    gt, guess = contour(labelled, ~unknown), contour(found, np.ones_like(unknown))
    dark = [(int(y), int(x)) for y, x in zip(*np.nonzero(unknown), strict=True)]

    def near(point: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return any((point[0] - y) ** 2 + (point[1] - x) ** 2 <= limit**2 for y, x in others)

    right = [point for point in guess if near(point, gt)]
    wrong = [point for point in guess if not near(point, gt) and not near(point, dark)]
    recalled = [point for point in gt if near(point, guess)]
    return [len(gt), len(recalled), len(right) + len(wrong), len(right)]


def f_score(counts: list[int]) -> float:
    """Harmonic mean of precision and recall; NaN without any contour."""
    labelled, recalled, judged, right = counts
    if labelled + judged == 0:
        return NAN
    if recalled == 0 or right == 0:
        return 0.0
    precision, recall = right / judged, recalled / labelled
    return 2 * precision * recall / (precision + recall)
