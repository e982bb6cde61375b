"""Person masks against human-annotated polygons, if most masks of a data set are pseudo-labels.

The polygons come as a COCO instances file of the images as they are stored; each image has a `key` or `file_name`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as rle

from training.data.samples import Bool, DatasetError, Sample
from training.evaluation.metrics.detection_errors import NOTABLE
from training.inference.predictions import Prediction

FOUND = 0.5  # IoU above which a person's mask counts as found


@dataclass
class TrueMasks:
    """Mean best IoU of predicted person masks with true ones; `show` adds an image.

    Only people taller than `NOTABLE` pixels count. Predictions without a true mask are not false positives: the person
    may not be outlined.
    """

    by_key: dict[str, list[Bool]]  # [H, W] of each person
    best: list[float] = field(default_factory=list)

    def show(self, sample: Sample, people: Prediction) -> None:
        """Compare the people of an image with the true masks. Raises DatasetError for masks of another size."""
        for mask in self.by_key.get(sample.key, []):
            if mask.shape != sample.size:
                raise DatasetError(
                    f"{sample.key}: a true mask is {mask.shape}, the image {sample.size}: give polygons in the pixels "
                    "of the stored image"
                )
            rows = np.flatnonzero(mask.any(axis=1))
            if len(rows) and rows[-1] + 1 - rows[0] > NOTABLE:
                own = np.bincount(people.person_map[mask], minlength=256)[1:]
                union = np.bincount(people.person_map.ravel(), minlength=256)[1:] + mask.sum() - own
                self.best.append(float((own / union).max()))

    def report(self) -> dict[str, Any]:
        """Return `people` compared, `mean_IoU` of the best predictions and the share `found`; None without people."""
        best = np.array(self.best)
        values = {"mean_IoU": float(best.mean()), "found": float((best > FOUND).mean())} if len(best) else {}
        return {"people": len(best), "mean_IoU": None, "found": None, **values}


def read_true_masks(path: Path) -> TrueMasks:
    """Read the people of a COCO instances file; crowds are left out. Raises DatasetError for any other file."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in value["images"]}
        by_key: dict[str, list[Bool]] = defaultdict(list)
        for person in value["annotations"]:
            if not person.get("iscrowd", 0):
                image = images[person["image_id"]]
                polygons = rle.frPyObjects(person["segmentation"], image["height"], image["width"])
                mask = rle.decode(rle.merge(polygons)).astype(bool)
                by_key[image.get("key") or Path(image["file_name"]).stem].append(mask)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is no COCO instances file with polygons ({error!r})") from error
    return TrueMasks(dict(by_key))
