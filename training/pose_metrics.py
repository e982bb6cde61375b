"""Accuracy of joints: COCO's keypoint AP, and the faults a user sees. Pure functions on arrays.

Joints are [n, K, 3] in the photo's pixels. What has no value (nobody to find) is NaN.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from training.metrics import bootstrap
from training.samples import Bool, Float32

Float64 = NDArray[np.float64]

TALL = 96  # pixels: who is taller counts for AP_tall
NOTABLE = 64  # pixels: who is taller and not found is missed
FOUND, SAME = 0.3, 0.5  # OKS above which a prediction finds somebody; above which two predictions are of one person
MAX_PEOPLE = 20  # predictions of a photo that COCO looks at
AREAS = {"all": (0, 1e10), "medium": (32**2, 96**2), "large": (96**2, 1e10)}  # COCO's, square pixels

_FAR = 1e6  # pixels: where COCO is told that a joint is which was not found


@dataclass(frozen=True)
class Poses:
    """Labelled (n) and predicted (m) joints of one photo. Areas in square pixels, heights in pixels."""

    truth: Float32  # [n, K, 3], x, y, v; v > 0 is labelled
    area: Float64  # [n]
    height: Float64  # [n]
    found: Float32  # [m, K, 3], x, y, score; 0 = not found
    score: Float32  # [m], falling
    found_area: Float64  # [m]
    found_height: Float64  # [m]
    excused: Bool  # [m], mostly on unknown pixels: where it matches nobody, it is no false person either

    @property
    def labelled(self) -> Bool:
        """[n], people with a labelled joint; the others can be neither found nor missed."""
        return (self.truth[:, :, 2] > 0).any(axis=1)


def oks(truth: Float32, area: Float64, found: Float32, sigmas: Sequence[float]) -> Float64:
    """Object keypoint similarity [n, m]: mean of exp(-d^2 / (2 area (2 sigma)^2)) over a person's labelled joints.

    A joint that was not found counts 0; so does a person without labelled joints.
    """
    square = ((truth[:, None, :, :2].astype(float) - found[None, :, :, :2]) ** 2).sum(axis=-1)  # [n, m, K]
    spread = 2 * (2 * np.asarray(sigmas)) ** 2 * np.maximum(area, 1)[:, None, None]  # [n, 1, K]
    labelled = (truth[:, :, 2] > 0)[:, None]  # [n, 1, K]
    similarity = np.exp(-square / spread) * (found[:, :, 2] > 0) * labelled
    return similarity.sum(axis=-1) / np.maximum(labelled.sum(axis=-1), 1)


def keypoint_ap(photos: Sequence[Poses], sigmas: Sequence[float], resamples: int = 200) -> dict[str, Any]:
    """COCO's keypoint AP (OKS .50:.95), AP50, AP75, AR, AP by size, with a bootstrap interval of AP over photos.

    Differs from COCO: people without labelled joints are left out and predictions that match nobody and lie on
    unknown pixels are ignored, in place of crowd boxes; a joint that was not found counts 0 wherever it is.
    `AP_tall` is over people taller than `TALL`.
    """
    photos = [p for p in photos if len(p.truth) or len(p.found)]
    if not any(p.labelled.any() for p in photos):
        names = ("AP", "AP50", "AP75", "AR", "AP_medium", "AP_large", "AP_tall")
        return {**dict.fromkeys(names, float("nan")), "AP_interval": [float("nan")] * 2}
    everyone = _Evaluation(photos, sigmas)
    tall = _Evaluation(photos, sigmas, lowest=TALL)
    precision = everyone.precision()  # [T, R, A]
    result: dict[str, Any] = {
        "AP": _mean(precision[:, :, 0]),
        "AP50": _mean(precision[0, :, 0]),
        "AP75": _mean(precision[5, :, 0]),
        "AR": _mean(everyone.eval["recall"][:, 0, 0, 0]),
        "AP_medium": _mean(precision[:, :, 1]),
        "AP_large": _mean(precision[:, :, 2]),
        "AP_tall": _mean(tall.precision()[:, :, 0]),
    }
    everyone.params.areaRng = [list(AREAS["all"])]
    result["AP_interval"] = bootstrap(lambda rows: _mean(everyone.precision(rows)), len(photos), resamples)
    return result


@dataclass(frozen=True)
class PersonErrors:
    """Faults in finding people, counted over photos."""

    notable: int = 0  # labelled people taller than NOTABLE
    missed: int = 0  # of them, with no prediction of OKS > FOUND
    labelled: int = 0  # people with labelled joints
    doubled: int = 0  # of them, the nearest of more than one prediction of OKS > SAME
    matched: int = 0  # pairs of a person and a prediction, whichever side it takes for left
    swapped: int = 0  # of them, more alike once left and right are exchanged
    extra: int = 0  # predictions that are nobody's and do not lie on unknown pixels


def person_errors(photos: Sequence[Poses], sigmas: Sequence[float], joint_flip: Sequence[int]) -> PersonErrors:
    """Count faults; `joint_flip` [K] is each joint's index after exchanging left and right."""
    total = np.zeros(7, int)
    for photo in photos:
        labelled = photo.labelled
        truth, area = photo.truth[labelled], photo.area[labelled]
        notable = photo.height[labelled] > NOTABLE
        straight = oks(truth, area, photo.found, sigmas)  # [n, m]
        turned = oks(truth[:, list(joint_flip)], area, photo.found, sigmas)
        best = np.maximum(straight, turned)
        missed = notable & ~(straight > FOUND).any(axis=1)
        doubled = _nearest(straight, SAME) > 1
        pairs = _pairs(best)
        swapped = sum(turned[pair] > straight[pair] for pair in pairs)
        extra = ~(best > FOUND).any(axis=0) & ~photo.excused
        total += [
            notable.sum(), missed.sum(), len(truth), doubled.sum(), len(pairs), swapped, extra.sum(),
        ]  # fmt: skip
    return PersonErrors(*total.tolist())


def _nearest(similarity: Float64, least: float) -> NDArray[np.int64]:
    """How many predictions [n] resemble this person most, and more than `least`."""
    n = len(similarity)
    if not similarity.size:
        return np.zeros(n, np.int64)
    return np.bincount(similarity.argmax(axis=0)[similarity.max(axis=0) > least], minlength=n)


def _pairs(similarity: Float64) -> list[tuple[int, int]]:
    """One-to-one pairs (person, prediction) above FOUND, the most alike first."""
    rest, pairs = similarity.copy(), []
    while rest.size and rest.max() > FOUND:
        row, column = (int(i) for i in np.unravel_index(rest.argmax(), rest.shape))
        pairs.append((row, column))
        rest[row], rest[:, column] = 0, 0
    return pairs


class _Evaluation(COCOeval):  # type: ignore[misc]
    """COCOeval on arrays, which excuses predictions; people no taller than `lowest` are neither asked for nor false."""

    def __init__(self, photos: Sequence[Poses], sigmas: Sequence[float], lowest: float = -1) -> None:
        people: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for image, photo in enumerate(photos):
            for row in np.flatnonzero(photo.labelled):
                counts = photo.height[row] > lowest
                people.append(_annotation(image, photo.truth[row], float(photo.area[row]), len(people) + 1))
                people[-1]["num_keypoints"] = int((photo.truth[row, :, 2] > 0).sum()) if counts else 0
            for row, joints in enumerate(photo.found):
                moved = np.where(joints[:, 2:] > 0, joints, -_FAR)
                found.append(_annotation(image, moved, float(photo.found_area[row]), len(found) + 1))
                found[-1]["score"] = float(photo.score[row])
                found[-1]["excused"] = bool(photo.excused[row]) or photo.found_height[row] <= lowest
        self._excused = {person["id"]: person["excused"] for person in found}
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(_coco(len(photos), people), _coco(len(photos), found), "keypoints")
            self.params.kpt_oks_sigmas = np.asarray(sigmas)
            self.params.areaRng = [list(limits) for limits in AREAS.values()]
            self.params.maxDets = [MAX_PEOPLE]
            self.evaluate()
        self._photos = len(photos)
        self._matches = list(self.evalImgs)  # [A * photos]

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        """As COCOeval, then ignore what matches nobody and is excused."""
        result: dict[str, Any] | None = super().evaluateImg(imgId, catId, aRng, maxDet)
        if result is not None:
            excused = np.array([self._excused[i] for i in result["dtIds"]], bool)
            result["dtIgnore"] = result["dtIgnore"] | ((result["dtMatches"] == 0) & excused)
        return result

    def precision(self, rows: NDArray[np.int64] | None = None) -> Float64:
        """[thresholds, recalls, areas] of all photos or of those in `rows`, which may repeat; -1 where undefined."""
        rows = np.arange(self._photos) if rows is None else rows
        areas = range(len(AREAS))
        self.evalImgs = [self._matches[area * self._photos + row] for area in areas for row in rows.tolist()]
        with contextlib.redirect_stdout(io.StringIO()):
            self.accumulate()
        return np.asarray(self.eval["precision"])[:, :, 0, :, 0]


def _annotation(image: int, joints: NDArray[np.floating], area: float, number: int) -> dict[str, Any]:
    """COCO's record of a person; numbered from 1, because COCOeval takes the number 0 for "nobody"."""
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": area, "bbox": [0.0, 0.0, 0.0, 0.0],
        "keypoints": joints.ravel().astype(float).tolist(),
    }  # fmt: skip


def _coco(photos: int, people: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {"images": [{"id": i} for i in range(photos)], "categories": [{"id": 1}], "annotations": people}
    coco.createIndex()
    return coco


def _mean(values: Float64) -> float:
    """COCO marks what is undefined by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else float("nan")
