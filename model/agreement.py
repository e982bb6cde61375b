"""Measures how far one answer's people are from another's, as between two runtimes of a graph. Torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.raw_prediction import RawPrediction
from model.two_scales import SAME, match_greedily, pose_similarity


class Difference(NamedTuple):
    """Between two answers about one canvas. People are the same if their poses are alike, as in `model.two_scales`."""

    pixels: int  # that either answer gives to somebody
    same_part: int  # of these
    same_person: int
    matched: int  # people
    missed: int  # of the reference
    extra: int
    distances: NDArray[np.float32]  # canvas pixels, of the joints that both have of matched people
    of_one_alone: int  # joints of matched people that only one of the two has


def compare(expected: RawPrediction, found: RawPrediction) -> Difference:
    """Compare an answer with the reference's. People may come in another order: scores may be nearly equal."""
    count, own = int((expected.person_score > 0).sum()), int((found.person_score > 0).sum())
    pairs = match_greedily(pose_similarity(expected.keypoints[:count], found.keypoints[:own]), SAME)
    names = np.full(256, 255, np.uint8)  # people with no partner
    names[0] = 0
    for row, column in pairs:
        names[column + 1] = row + 1
    either = (expected.person_map > 0) | (found.person_map > 0)
    one = expected.keypoints[[row for row, _ in pairs]]
    other = found.keypoints[[column for _, column in pairs]]
    seen, again = one[..., 2] > 0, other[..., 2] > 0
    return Difference(
        pixels=int(either.sum()),
        same_part=int((expected.part_map == found.part_map)[either].sum()),
        same_person=int((expected.person_map == names[found.person_map])[either].sum()),
        matched=len(pairs),
        missed=count - len(pairs),
        extra=own - len(pairs),
        distances=np.linalg.norm(one[..., :2] - other[..., :2], axis=-1)[seen & again],
        of_one_alone=int((seen != again).sum()),
    )


def summary(differences: Sequence[Difference]) -> dict[str, Any]:
    """The figures of several images together: shares of the pixels that either answer gives to somebody, canvas pixels.

    A share or a distance of nothing is None.
    """
    pixels, part, person, matched, missed, extra = (sum(column) for column in list(zip(*differences, strict=True))[:6])
    distances = np.concatenate([one.distances for one in differences])
    return {
        "same_part": round(part / pixels, 5) if pixels else None,
        "same_person": round(person / pixels, 5) if pixels else None,
        "people": {"matched": matched, "missed": missed, "extra": extra},
        "keypoints": {
            "mean_px": round(float(distances.mean()), 4) if distances.size else None,
            "p99_px": round(float(np.percentile(distances, 99)), 4) if distances.size else None,
            "of_both": int(distances.size),
            "of_one_alone": sum(one.of_one_alone for one in differences),
        },
    }


def accuracy_table(reports: Sequence[dict[str, Any]]) -> str:
    """What `python -m training evaluate --json` wrote of several runtimes, in Markdown."""
    rows = ["| runtime | detail | images | keypoint AP | mask IoU | part mIoU |", "|---|---|---:|---:|---:|---:|"]
    for report in reports:
        values = [report["keypoints"]["AP"], report["masks"]["mean_IoU"], report["parts"]["mIoU"]]
        cells = ["-" if value is None else f"{value:.3f}" for value in values]
        rows.append(f"| {report['runtime']} | {report['detail']} | {report['images']} | {' | '.join(cells)} |")
    return "\n".join(rows)
