"""COCO's average precision, by pycocotools, from similarities that are computed here."""

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

from training.data.samples import Bool, Float32
from training.evaluation.metrics.pixels import Float64

Area = tuple[float, float]

ALL: Area = (0, 1e10)  # square pixels


@dataclass(frozen=True)
class Detections:
    """People of one image, labelled (n) and predicted (m)."""

    similarity: Float64  # [n, m]
    area: Float64  # [n], square pixels
    gt_valid: Bool  # [n], False: neither a miss nor, if matched, a false positive
    score: Float32  # [m]
    found_area: Float64  # [m]
    dt_ignore: Bool  # [m], not a false positive if it matches nobody


class CocoEvaluation(COCOeval):  # type: ignore[misc]
    """COCOeval of given similarities with ignored predictions, for at most `most` predictions per image."""

    def __init__(self, images: Sequence[Detections], areas: Sequence[Area], most: int) -> None:
        people: list[dict[str, Any]] = []
        found: list[dict[str, Any]] = []
        for number, image in enumerate(images):
            for row, area in enumerate(image.area.tolist()):
                people.append(_annotation(number, area, len(people) + 1))
                people[-1]["num_keypoints"] = int(image.gt_valid[row])  # 0: COCO ignores the person
            for row, area in enumerate(image.found_area.tolist()):
                found.append(_annotation(number, area, len(found) + 1))
                found[-1]["score"] = float(image.score[row])
                found[-1]["dt_ignore"] = bool(image.dt_ignore[row])
        self._images = images
        self._dt_ignore = {person["id"]: person["dt_ignore"] for person in found}
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(_coco(len(images), people), _coco(len(images), found), "keypoints")
            self.params.areaRng = [list(limits) for limits in areas]
            self.params.maxDets = [most]
            self.evaluate()
        self._matches: list[dict[str, Any] | None] = list(self.evalImgs)  # [areas * images]

    def computeOks(self, imgId: int, catId: int) -> Float64 | list[Float64]:
        """Return similarities [m, n], predictions by falling score."""
        image = self._images[imgId]
        if not image.similarity.size:
            return []
        return image.similarity.T[np.argsort(-image.score, kind="stable")]

    def evaluateImg(self, imgId: int, catId: int, aRng: list[float], maxDet: int) -> dict[str, Any] | None:
        """Evaluate as COCOeval does, then ignore unmatched predictions with `dt_ignore`."""
        result: dict[str, Any] | None = super().evaluateImg(imgId, catId, aRng, maxDet)
        if result is not None:
            dt_ignore = np.array([self._dt_ignore[i] for i in result["dtIds"]], bool)
            result["dtIgnore"] = result["dtIgnore"] | ((result["dtMatches"] == 0) & dt_ignore)
        return result

    def precision(self, rows: NDArray[np.int64] | None = None) -> Float64:
        """Return [thresholds, recalls, areas] of all images or of `rows`, which may repeat; NaN if undefined."""
        rows = np.arange(len(self._images)) if rows is None else rows
        areas = range(len(self.params.areaRng))
        self.evalImgs = [self._matches[area * len(self._images) + row] for area in areas for row in rows.tolist()]
        with contextlib.redirect_stdout(io.StringIO()):
            self.accumulate()
        precision = np.asarray(self.eval["precision"])[:, :, 0, :, 0]
        return np.where(precision > -1, precision, np.nan)

    def recall(self) -> Float64:
        """Return [thresholds, areas] of the images that `precision` was last called for; NaN if undefined."""
        recall = np.asarray(self.eval["recall"])[:, 0, :, 0]
        return np.where(recall > -1, recall, np.nan)


def _annotation(image: int, area: float, number: int) -> dict[str, Any]:
    """Return COCO's record of a person. Numbers start at 1, because COCOeval takes the number 0 for "no match"."""
    return {"id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "area": area}


def _coco(images: int, people: list[dict[str, Any]]) -> COCO:
    coco = COCO()
    coco.dataset = {"images": [{"id": i} for i in range(images)], "categories": [{"id": 1}], "annotations": people}
    coco.createIndex()
    return coco
