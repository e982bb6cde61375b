"""Evaluate a parser on labelled photos: run it on each, gather every figure, and say them in a table.

Everything is measured in the photo's pixels: maps are enlarged from the canvas as the service enlarges them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from model.canvases import best_canvas
from model.letterbox import Letterbox
from model.manifest import Size
from model.taxonomy import IGNORE, Taxonomy
from training.augment import letterbox
from training.datasets.base import SYNTHETIC, PhotoDataset
from training.metrics import (
    VOLUME,
    Instances,
    Int64,
    PersonParts,
    average_precision,
    bootstrap,
    class_ious,
    compare_masks,
    compare_parts,
    confusion,
    correct_parts,
    joint_part_tables,
    joints_on_parts,
)
from training.pose_metrics import NOTABLE, Poses, keypoint_ap, person_errors
from training.predictors import CanvasPeople, Parse
from training.samples import Bool, Float32, Sample, UInt8

BODY_IN_BOX = 0.53  # a person's area as a share of the box, where no mask tells
RESAMPLES = 200


@dataclass(frozen=True)
class PhotoPeople:
    """A parser's m people in a photo. Maps [H, W] as in `CanvasPeople`, points in the photo's pixels."""

    part_map: UInt8
    person_map: UInt8  # 0 nobody, i = row i-1
    keypoints: Float32  # [m, K, 3]
    score: Float32  # [m], falling


@dataclass(frozen=True)
class PhotoFigures:
    """What one photo adds to the figures."""

    exact: bool  # every person's parts are
    negative: bool  # the photo is known to show nobody
    poses: Poses
    masks: Instances
    tall: Bool  # [n], people with a mask, taller than NOTABLE
    parts: PersonParts
    confusion: Int64  # [C+1, C+1]
    joints: Int64 | None  # [4], see `joints_on_parts`


def evaluate(
    parse: Parse,
    photos: PhotoDataset,
    indices: Sequence[int],
    canvases: Sequence[Size],
    show: Callable[[Sample, PhotoPeople], None] | None = None,
) -> dict[str, Any]:
    """Figures of `parse` over the photos at `indices`; `show` is called with each photo and its people.

    What has no value (no labels of the kind) is None. Raises DatasetError for an unreadable photo.
    """
    figures = []
    for index in tqdm(indices, desc="evaluate", unit="photo"):
        sample = photos.load(index)
        people = parse_photo(parse, sample, canvases)
        figures.append(measure(sample, people, photos.taxonomy, photos.photos[index].negative))
        if show is not None:
            show(sample, people)
    return summarise(figures, photos.taxonomy)


def parse_photo(parse: Parse, sample: Sample, canvases: Sequence[Size]) -> PhotoPeople:
    """Run a parser on the canvas that shows the photo largest, and bring its people back to the photo."""
    canvas, box = letterbox(sample, best_canvas(sample.size, canvases))
    return to_image(parse(canvas.image), box, sample.size)


def to_image(people: CanvasPeople, box: Letterbox, size_image: Size) -> PhotoPeople:
    """The filled slots of a canvas in the photo: nearest pixels, centre to centre; points clamped to the photo."""
    count = int((people.person_score > 0).sum())
    height, width = size_image
    rows = box.offset_y + (2 * np.arange(height) + 1) * box.height // (2 * height)
    columns = box.offset_x + (2 * np.arange(width) + 1) * box.width // (2 * width)
    pixels = np.ix_(rows, columns)
    keypoints = people.keypoints[:count].copy()  # [m, K, 3]
    x, y = box.to_image(keypoints[..., 0], keypoints[..., 1])
    keypoints[..., 0], keypoints[..., 1] = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    keypoints[keypoints[..., 2] <= 0] = 0
    return PhotoPeople(people.part_map[pixels], people.person_map[pixels], keypoints, people.person_score[:count])


def measure(sample: Sample, people: PhotoPeople, taxonomy: Taxonomy, negative: bool) -> PhotoFigures:
    """Compare one photo's people with its labels."""
    n, parts = len(sample.keypoints), len(taxonomy.part_names)
    truth, predicted = (sample.parts, sample.people), (people.part_map, people.person_map)
    tables = joint_part_tables(taxonomy)
    return PhotoFigures(
        exact=sample.source == SYNTHETIC or n == 0,
        negative=negative,
        poses=_poses(sample, people),
        masks=compare_masks(sample.people, people.person_map, sample.has_mask, people.score),
        tall=sample.has_mask & (sample.boxes[:, 3] - sample.boxes[:, 1] > NOTABLE),
        parts=compare_parts(truth, predicted, n, people.score, parts),
        confusion=confusion(sample.parts, people.part_map, parts + 1),
        joints=None if tables is None else joints_on_parts(sample.keypoints, people.part_map, tables),
    )


def summarise(figures: Sequence[PhotoFigures], taxonomy: Taxonomy) -> dict[str, Any]:
    """All figures of some photos, ready for JSON: numbers, None where there is no value."""
    poses = [photo.poses for photo in figures]
    ious = class_ious(sum((photo.confusion for photo in figures), np.zeros((1, 1), int)))
    parts = [photo.parts for photo in figures]
    people_of_parts = [photo.parts.people for photo in figures]
    volume = [average_precision(people_of_parts, threshold) for threshold in VOLUME]
    alone = [photo for photo in figures if photo.negative]
    false_people = [len(photo.poses.found) for photo in alone]
    return _plain(
        {
            "photos": len(figures),
            "people": sum(len(photo.poses.truth) for photo in figures),
            "keypoints": keypoint_ap(poses, taxonomy.joint_sigmas, RESAMPLES),
            "masks": _mask_figures(figures),
            "parts": {
                "labels": "exact" if all(p.exact for p in figures) else "not exact: made in part by other models",
                "mIoU": _mean(ious),
                "IoU": dict(zip(("background", *taxonomy.part_names), ious.tolist(), strict=False)),
                "APp50": average_precision(people_of_parts, 0.5),
                "APpvol": float(np.mean(volume)),
                "PCP50": correct_parts(parts),
            },
            "joints_on_parts": _joint_figures(figures),
            "persons": {
                **dataclasses.asdict(person_errors(poses, taxonomy.joint_sigmas, taxonomy.joint_flip)),
                "photos_of_nobody": len(alone),
                "nobody_found": _mean([count == 0 for count in false_people]),
                "people_found_there": sum(false_people),
            },
            "noise": f"intervals: 95 %, bootstrap over photos, {RESAMPLES} resamples",
        }
    )


def table(report: dict[str, Any]) -> str:
    """The figures of `summarise` for a person to read."""
    keypoints, masks, parts = report["keypoints"], report["masks"], report["parts"]
    joints, persons = report["joints_on_parts"], report["persons"]
    lines = [
        ("keypoints", [f"AP {_show(keypoints['AP'], keypoints['AP_interval'])}",
                       *_named(keypoints, "AP50", "AP75", "AR", "AP_medium", "AP_large", "AP_tall")]),
        ("person masks", [f"IoU {_show(masks['mean_IoU'], masks['mean_IoU_interval'])}",
                          *_named(masks, "recall50", "AP50"), f"{masks['people']} people"]),
        ("parts", [*_named(parts, "mIoU", "APp50", "APpvol", "PCP50"), f"labels {parts['labels']}"]),
        ("", [f"{name} {_show(value)}" for name, value in parts["IoU"].items()]),
        ("joints on parts", _named(joints, "on_a_part", "right_part", "right_side") if joints else ["no table"]),
        ("persons", [f"missed {persons['missed']}/{persons['notable']}",
                     f"doubled {persons['doubled']}/{persons['labelled']}",
                     f"swapped {persons['swapped']}/{persons['matched']}", f"extra {persons['extra']}"]),
        ("photos of nobody", [f"{persons['photos_of_nobody']} photos", *_named(persons, "nobody_found"),
                              f"people found {persons['people_found_there']}"]),
    ]  # fmt: skip
    title = f"{report['photos']} photos, {report['people']} people; {report['noise']}"
    rows = [(name if i == 0 else "", row) for name, cells in lines for i, row in enumerate(_wrapped(cells))]
    return "\n".join([title, *(f"{name:<18}{row}" for name, row in rows)])


def _poses(sample: Sample, people: PhotoPeople) -> Poses:
    n, m = len(sample.keypoints), len(people.score)
    sides = sample.boxes[:, 2:] - sample.boxes[:, :2]  # [n, 2]
    pixels = np.bincount(sample.people.ravel(), minlength=256)[1 : n + 1]
    unlabelled = np.flatnonzero(~(sample.keypoints[:, :, 2] > 0).any(axis=1)) + 1
    unknown = (sample.people == IGNORE) | np.isin(sample.people, unlabelled)
    excused, sides_found = np.zeros(m, bool), np.zeros((m, 2))
    for row, joints in enumerate(people.keypoints):
        xy = joints[joints[:, 2] > 0, :2]
        if len(xy):
            column_row = np.rint(xy).astype(int)
            excused[row] = unknown[column_row[:, 1], column_row[:, 0]].mean() > 0.5
            sides_found[row] = xy.max(axis=0) - xy.min(axis=0)
    pixels_found = np.bincount(people.person_map.ravel(), minlength=m + 1)[1 : m + 1]
    return Poses(
        truth=sample.keypoints,
        area=_areas(pixels, sides),
        height=sides[:, 1].astype(float),
        found=people.keypoints,
        score=people.score,
        found_area=_areas(pixels_found, sides_found),
        found_height=sides_found[:, 1],
        excused=excused,
    )


def _areas(pixels: NDArray[np.int64], sides: NDArray[np.floating]) -> NDArray[np.float64]:
    """The mask's pixels; of people without any, a share of the box."""
    return np.where(pixels > 0, pixels, BODY_IN_BOX * sides.prod(axis=1)).astype(float)


def _mask_figures(figures: Sequence[PhotoFigures]) -> dict[str, Any]:
    best = [
        photo.masks.similarity[photo.tall & photo.masks.countable].max(axis=1, initial=0) for photo in figures
    ]  # [tall people] of each photo
    everyone = np.concatenate([np.zeros(0), *best])

    def mean(rows: Int64) -> float:
        return _mean(np.concatenate([best[row] for row in rows]))

    return {
        "people": len(everyone),
        "mean_IoU": _mean(everyone),
        "mean_IoU_interval": bootstrap(mean, len(best), RESAMPLES),
        "recall50": _mean(everyone > 0.5),
        "AP50": average_precision([photo.masks for photo in figures], 0.5),
    }


def _joint_figures(figures: Sequence[PhotoFigures]) -> dict[str, Any] | None:
    counts = [photo.joints for photo in figures if photo.joints is not None]
    if not counts:
        return None
    visible, any_part, either, own = np.sum(counts, axis=0).tolist()
    share = 1 / visible if visible else float("nan")
    return {"visible": visible, "on_a_part": any_part * share, "right_part": either * share, "right_side": own * share}


def _mean(values: Sequence[float] | NDArray[np.generic]) -> float:
    """Mean of what is not NaN; NaN of nothing."""
    known = np.asarray(values, float)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else float("nan")


def _plain(value: Any) -> Any:
    """Floats rounded to 4 digits, NaN to None, all the way down."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return None if math.isnan(value) else round(value, 4)
    return value


def _named(figures: dict[str, Any], *names: str) -> list[str]:
    return [f"{name} {_show(figures[name])}" for name in names]


def _show(value: float | None, interval: Sequence[float | None] | None = None) -> str:
    shown = "-" if value is None else f"{value:.3f}"
    return shown if interval is None else f"{shown} [{_show(interval[0])}, {_show(interval[1])}]"


def _wrapped(cells: Iterable[str], width: int = 100) -> list[str]:
    """Cells in lines of about `width` characters."""
    lines = [""]
    for cell in cells:
        if len(lines[-1]) + len(cell) > width:
            lines.append("")
        lines[-1] += f"{cell}   "
    return [line.rstrip() for line in lines]
