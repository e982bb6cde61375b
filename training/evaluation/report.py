"""The figures of `training.evaluation.evaluate` as tables for a person to read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from training.evaluation.paper_tables import REGIONS


def table(report: dict[str, Any]) -> str:
    """All figures but those that `category_table` has."""
    keypoints, masks, parts = report["keypoints"], report["masks"], report["parts"]
    joints, persons = report["joints_on_parts"], report["persons"]
    lines = [
        ("keypoints", [f"AP {_show(keypoints['AP'], keypoints['AP_interval'])}",
                       *_named(keypoints, "AP50", "AP75", "AR", "AP_medium", "AP_large", "AP_tall", "AP50_tall")]),
        ("person masks", [f"IoU {_show(masks['mean_IoU'], masks['mean_IoU_interval'])}",
                          *_named(masks, "recall50", "AP", "AP50", "AP75", "boundary_F"),
                          f"{masks['people']} people"]),
        ("parts", [*_named(parts, "mIoU", "APp50", "APpvol", "PCP50", "boundary_F"), f"labels {parts['labels']}"]),
        ("", [f"{name} {_show(value)}" for name, value in parts["IoU"].items()]),
        ("part instances", [*_named(parts["APr"]["de_facto"], *REGIONS), "de facto"]),
        ("", [*_named(parts["APr"]["one_to_one"], *REGIONS), "one-to-one"]),
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


def category_table(report: dict[str, Any]) -> str:
    """Figures of each part and of each joint, a line each."""
    sections = []
    for kind, rows in report["categories"].items():
        columns = list(next(iter(rows.values())))
        width = max(len(name) for name in (kind, *rows))
        lines = [f"{kind:<{width}}" + "".join(f"{column:>16}" for column in columns)]
        lines += [f"{name:<{width}}" + "".join(f"{_show(row[c]):>16}" for c in columns) for name, row in rows.items()]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def broken_photos(report: dict[str, Any]) -> str:
    """What is the matter with each photo that could not be read; empty where all could."""
    if not report["broken"]:
        return ""
    lines = [f"  {photo['photo']}: {photo['problem']}" for photo in report["broken"]]
    return "\n".join([f"{len(lines)} photos could not be read and are left out:", *lines])


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
