"""COCO's figures against pycocotools used as its authors mean it: run-length masks, joints, annotations."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as run_lengths
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from model.taxonomy import TAXONOMIES, Taxonomy
from tests.naive_metrics import random_images
from training.evaluation.metrics.people import coco_ap, compare_masks
from training.evaluation.metrics.poses import Poses, keypoint_ap

Record = dict[str, Any]


def official(images: int, labelled: list[Record], found: list[Record], kind: str, sigmas: Any = None) -> np.ndarray:
    """The figures that COCOeval prints."""

    def coco(people: list[Record]) -> COCO:
        value = COCO()
        value.dataset = {
            "images": [{"id": i, "height": 1, "width": 1} for i in range(images)],  # asked for, not used
            "categories": [{"id": 1}],
            "annotations": [
                {"category_id": 1, "iscrowd": 0, "id": number, **person} for number, person in enumerate(people, 1)
            ],
        }
        value.createIndex()
        return value

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(coco(labelled), coco(found), kind)
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats > -1, evaluation.stats, np.nan)


@pytest.mark.parametrize("seed", range(40))
def test_masks(seed: int) -> None:
    images = random_images(seed, classes=2)

    def record(image: int, mask: np.ndarray, **more: float) -> Record:
        code = run_lengths.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"image_id": image, "segmentation": code, "area": int(mask.sum()), **more}

    labelled = [record(i, p.people == n) for i, p in enumerate(images) for n in range(1, p.count + 1)]
    found = [
        record(i, p.found_people == j + 1, score=float(score))
        for i, p in enumerate(images)
        for j, score in enumerate(p.score)
    ]
    labelled = [person for person in labelled if person["area"]]  # who has no pixel is not to be found
    expected = official(len(images), labelled, found, "segm")[:3]
    ours = coco_ap([compare_masks(p.people, p.found_people, np.ones(p.count, bool), p.score) for p in images])
    np.testing.assert_allclose([ours["AP"], ours["AP50"], ours["AP75"]], expected, rtol=0, atol=1e-12)


def random_poses(seed: int, joints: int) -> list[Poses]:
    """Images of up to four people and 23 predictions, more than COCO looks at; joints unlabelled, joints not found."""
    rng = np.random.default_rng((seed, joints))
    images = []
    for _ in range(int(rng.integers(1, 6))):
        n, m = int(rng.integers(0, 5)), int(rng.choice([0, 1, 3, 5, 23]))
        gt = np.concatenate([rng.uniform(0, 200, (n, joints, 2)), rng.integers(0, 3, (n, joints, 1))], axis=-1)
        found = np.concatenate([rng.uniform(0, 200, (m, joints, 2)), rng.uniform(0.1, 1, (m, joints, 1))], axis=-1)
        if n:
            gt[rng.random(n) < 0.2, :, 2] = 0  # nothing is labelled
            near = rng.random(m) < 0.8
            copied = gt[rng.integers(0, n, near.sum()), :, :2]
            found[near, :, :2] = copied + rng.normal(0, 1, copied.shape) * rng.choice([1, 4, 12], (near.sum(), 1, 1))
        found[rng.random((m, joints)) < 0.2] = 0
        images.append(
            Poses(
                gt=gt.astype(np.float32),
                area=rng.choice([500.0, 3000.0, 20000.0], n),
                height=np.full(n, 150.0),
                found=found.astype(np.float32),
                score=np.sort(rng.choice([0.9, 0.8, 0.5, 0.5, 0.1], m))[::-1].astype(np.float32),
                found_area=rng.choice([500.0, 3000.0, 20000.0], m),
                found_height=np.full(m, 150.0),
                dt_ignore=np.zeros(m, bool),
            )
        )
    return images


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
@pytest.mark.parametrize("seed", range(15))
def test_poses_with_each_set_of_sigmas(seed: int, taxonomy: Taxonomy) -> None:
    images = random_poses(seed, len(taxonomy.joint_names))
    labelled = [
        {
            "image_id": i, "keypoints": person.ravel().astype(float).tolist(), "area": area, "bbox": [-1e5, 0, 1, 1],
            "num_keypoints": int((person[:, 2] > 0).sum()),
        }
        for i, image in enumerate(images)
        for person, area in zip(image.gt, image.area.tolist(), strict=True)
    ]  # fmt: skip
    found = [
        {
            "image_id": i, "area": image.found_area[j], "score": float(image.score[j]),
            # COCO asks for a place: one that was not found is far away.
            "keypoints": np.where(joints[:, 2:] > 0, joints, 1e6).ravel().astype(float).tolist(),
        }
        for i, image in enumerate(images)
        for j, joints in enumerate(image.found)
    ]  # fmt: skip
    stats = official(len(images), labelled, found, "keypoints", taxonomy.joint_sigmas)
    ours = keypoint_ap(images, taxonomy.joint_sigmas, resamples=0)
    names = ("AP", "AP50", "AP75", "AP_medium", "AP_large", "AR")
    np.testing.assert_allclose([ours[name] for name in names], stats[:6], rtol=0, atol=1e-12)
