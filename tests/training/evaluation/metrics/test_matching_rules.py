"""Who finds whom, on tables of similarity full of ties: with each other, with the thresholds, and of scores."""

from __future__ import annotations

import numpy as np
import pytest

from tests import naive_metrics as naive
from training.evaluation.metrics.parts import VOLUME, PersonParts
from training.evaluation.metrics.people import Instances, average_precision, coco_ap
from training.evaluation.metrics.regions import part_ap

seeds = pytest.mark.parametrize("seed", range(60))


def random_tables(seed: int) -> list[Instances]:
    """Images of up to four people and five predictions; similarities and thresholds are the same few numbers."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(int(rng.integers(1, 7))):
        n, m = int(rng.integers(0, 5)), int(rng.integers(0, 6))
        images.append(
            Instances(
                similarity=rng.choice([0.0, 0.1, 0.3, 0.5, 0.5, 0.55, 0.6, 0.7, 0.9], (n, m)),
                score=np.sort(rng.choice([0.9, 0.7, 0.7, 0.4], m))[::-1].astype(np.float32),
                countable=rng.random(n) < 0.8,
                dt_ignore=rng.random(m) < 0.2,
            )
        )
    return images


def ranked(images: list[Instances]) -> list[tuple[int, int]]:
    """Image and row of all predictions by falling score, of equals in the order in which they come."""
    entries = [(-float(score), p, j) for p, image in enumerate(images) for j, score in enumerate(image.score)]
    return [(p, j) for _, p, j in sorted(entries, key=lambda entry: entry[0])]


def judge(images: list[Instances], threshold: float, rule: str) -> float:
    """Average precision where `rule` says which people a prediction may take."""
    used: set[tuple[int, int]] = set()
    hits = []
    for p, j in ranked(images):
        image = images[p]
        people = np.flatnonzero(image.countable).tolist()
        if rule == "best unless taken":  # MHP v2
            best = max(people, key=lambda i: (image.similarity[i, j], -i), default=None)
            best = None if (p, best) in used else best
        elif rule == "best of the free":  # SDS
            best = max((i for i in people if (p, i) not in used), key=lambda i: image.similarity[i, j], default=None)
        else:  # CIHP_PGN
            best = max(people, key=lambda i: image.similarity[i, j], default=None)
        hit = best is not None and image.similarity[best, j] > threshold
        if hit:
            used.add((p, best))
        if hit or not image.dt_ignore[j]:
            hits.append(bool(hit))
    return naive.average_precision(hits, sum(int(image.countable.sum()) for image in images))


@seeds
def test_people(seed: int) -> None:
    images = random_tables(seed)
    for threshold in VOLUME:
        found = average_precision(images, threshold)
        np.testing.assert_allclose(found, judge(images, threshold, "best unless taken"), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("one_to_one", "rule"), [(True, "best of the free"), (False, "best")])
@seeds
def test_part_instances(seed: int, one_to_one: bool, rule: str) -> None:
    """Two parts: the second has scores in an order of its own, is on everybody, and nothing of it is excused."""
    first = random_tables(seed)
    rng = np.random.default_rng(seed)
    second, parts = [], []
    for image in first:
        n, m = image.similarity.shape
        score = rng.choice([0.9, 0.6, 0.6, 0.2], m).astype(np.float32)
        second.append(Instances(image.similarity, score, np.ones(n, bool), np.zeros(m, bool)))
        pair = (image, second[-1])
        parts.append(
            PersonParts(
                people=image,
                ious=np.stack([np.zeros((n, m)), image.similarity, image.similarity], axis=-1),
                present=np.stack([part.countable for part in pair], axis=-1),
                found=np.ones((m, 2), bool),
                dt_ignore=np.stack([part.dt_ignore for part in pair], axis=-1),
                part_score=np.stack([part.score for part in pair], axis=-1),
            )
        )
    expected = [[judge(part, threshold, rule) for part in (first, second)] for threshold in VOLUME]
    np.testing.assert_allclose(part_ap(parts, VOLUME, one_to_one), expected, rtol=0, atol=1e-12)


@seeds
def test_masks_as_coco(seed: int) -> None:
    images = random_tables(seed)
    positives = sum(int(image.countable.sum()) for image in images)
    values = []
    for threshold in np.linspace(0.5, 0.95, 10):
        free = {(p, i) for p, image in enumerate(images) for i in np.flatnonzero(image.countable).tolist()}
        hits = []
        for p, j in ranked(images):
            rivals = [i for q, i in free if q == p and images[p].similarity[i, j] >= threshold]
            if rivals:
                free.remove((p, max(rivals, key=lambda i: (images[p].similarity[i, j], i))))  # the last of equals
            if rivals or not images[p].dt_ignore[j]:
                hits.append(bool(rivals))
        points = [(sum(hits[: k + 1]) / positives, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits)) if positives]
        samples = [max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)]
        values.append(np.mean(samples) if positives else np.nan)
    np.testing.assert_allclose(coco_ap(images)["AP"], np.mean(values), rtol=0, atol=1e-12)
