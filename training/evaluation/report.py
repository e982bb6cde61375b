"""Tables of metrics: those of `evaluate`, also in the paper's columns, and those of `robustness` in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PARTS = ("mIoU", "APp50", "APpvol", "PCP50")
ON_PARTS = ("on_any_part", "on_correct_part", "on_correct_side")
REGIONS = ("APr50", "APr60", "APr70", "APrvol")
DEFINITIONS = {"de_facto": "AP^r de facto", "one_to_one": "AP^r one-to-one"}

# Column: path in the result of `compute_metrics`.
ROBUSTNESS_COLUMNS = {
    "AP50": ("keypoints", "AP50"),
    "AP h96": ("keypoints", "AP_h96"),
    "AP50 h96": ("keypoints", "AP50_h96"),
    "mask IoU": ("masks", "mean_IoU"),
    "mIoU": ("parts", "mIoU"),
    "on correct side": ("joints_on_parts", "on_correct_side"),
    "inversions": ("persons", "inversions"),
    "TNR": ("persons", "true_negative_rate"),
}


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: its number, data set and columns, and the row of the paper's own method."""

    number: int
    data: str
    columns: tuple[str, ...]
    own: tuple[float, ...]  # percent


PAPER_TABLES = {
    "mhp_v2": PaperTable(1, "MHPv2 val", PARTS, (41.4, 39.0, 44.3, 42.3)),
    "densepose_coco": PaperTable(2, "DensePose-COCO test", PARTS, (69.1, 49.7, 54.7, 52.8)),
    "pascal_person_part": PaperTable(3, "PASCAL-Person-Part test", REGIONS, (59.0, 52.3, 38.1, 55.9)),
}


def table(report: dict[str, Any]) -> str:
    """Format all metrics but those of `category_table`."""
    keypoints, masks, parts = report["keypoints"], report["masks"], report["parts"]
    joints, persons = report["joints_on_parts"], report["persons"]
    lines = [
        ("keypoints", [f"AP {_show(keypoints['AP'], keypoints['AP_interval'])}",
                       *_named(keypoints, "AP50", "AP75", "AR", "AP_medium", "AP_large", "AP_h96", "AP50_h96")]),
        ("person masks", [f"IoU {_show(masks['mean_IoU'], masks['mean_IoU_interval'])}",
                          *_named(masks, "recall50", "AP", "AP50", "AP75", "boundary_F"),
                          f"{masks['people']} people"]),
        ("parts", [*_named(parts, "mIoU", "APp50", "APpvol", "PCP50", "boundary_F"), f"labels {parts['labels']}"]),
        ("", [f"{name} {_show(value)}" for name, value in parts["IoU"].items()]),
        ("part instances", [*_named(parts["APr"]["de_facto"], *REGIONS), "de facto"]),
        ("", [*_named(parts["APr"]["one_to_one"], *REGIONS), "one-to-one"]),
        ("joints on parts", _named(joints, *ON_PARTS) if joints else ["no table"]),
        ("persons", [f"missed {persons['missed']}/{persons['notable']}",
                     f"duplicates {persons['duplicates']}/{persons['labelled']}",
                     f"inversions {persons['inversions']}/{persons['matched']}",
                     f"false positives {persons['false_positives']}"]),
        ("negative images", [f"{persons['negative_images']} images", *_named(persons, "true_negative_rate"),
                             f"false positives {persons['negative_false_positives']}"]),
    ]  # fmt: skip
    title = f"{report['images']} images, {report['people']} people; {report['noise']}"
    rows = [(name if i == 0 else "", row) for name, cells in lines for i, row in enumerate(_wrapped(cells))]
    return "\n".join([title, *(f"{name:<18}{row}" for name, row in rows)])


def category_table(report: dict[str, Any]) -> str:
    """Format the metrics of each part and of each joint, one line each."""
    sections = []
    for kind, rows in report["categories"].items():
        columns = list(next(iter(rows.values())))
        width = max(len(name) for name in (kind, *rows))
        lines = [f"{kind:<{width}}" + "".join(f"{column:>16}" for column in columns)]
        lines += [f"{name:<{width}}" + "".join(f"{_show(row[c]):>16}" for c in columns) for name, row in rows.items()]
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def unreadable_images(report: dict[str, Any]) -> str:
    """List the unreadable images and their errors; empty if there are none."""
    if not report["broken"]:
        return ""
    lines = [f"  {image['image']}: {image['problem']}" for image in report["broken"]]
    return "\n".join([f"{len(lines)} images could not be read and are left out:", *lines])


def true_masks_line(metrics: dict[str, Any]) -> str:
    """Format the result of `TrueMasks.report` in one line."""
    return (
        f"true masks: {metrics['people']} people, mean best IoU {_show(metrics['mean_IoU'])}, "
        f"found (IoU over 0.5) {_show(metrics['found'])}"
    )


def _named(metrics: dict[str, Any], *names: str) -> list[str]:
    return [f"{name} {_show(metrics[name])}" for name in names]


def _show(value: float | None, interval: Sequence[float | None] | None = None) -> str:
    shown = "-" if value is None else f"{value:.3f}"
    return shown if interval is None else f"{shown} [{_show(interval[0])}, {_show(interval[1])}]"


def _wrapped(cells: Iterable[str], width: int = 100) -> list[str]:
    """Join cells in lines of about `width` characters."""
    lines = [""]
    for cell in cells:
        if len(lines[-1]) + len(cell) > width:
            lines.append("")
        lines[-1] += f"{cell}   "
    return [line.rstrip() for line in lines]


def paper_table(report: dict[str, Any], taxonomy: str, label: str) -> str:
    """Format the metrics of `evaluate` below the paper's table for that taxonomy; empty if it has none.

    `label` names parser and images: the rows are comparable only if the images are the paper's.
    """
    table = PAPER_TABLES.get(taxonomy)
    if table is None:
        return ""
    rows: list[tuple[str, Sequence[float | None]]] = [(f"the paper, on {table.data}", table.own)]
    if table.columns == REGIONS:
        rows += [
            (f"{label} ({name})", _percent(report["parts"]["APr"][key], table.columns))
            for key, name in DEFINITIONS.items()
        ]
    else:
        rows.append((label, _percent(report["parts"], table.columns)))
    title = f"Table {table.number} of the paper, %"
    width = max(len(name) for name in (title, *(name for name, _ in rows)))
    lines = [f"{title:<{width}}" + "".join(f"{column:>9}" for column in table.columns)]
    return "\n".join(
        [*lines, *(f"{name:<{width}}" + "".join(f"{_show_percent(v):>9}" for v in values) for name, values in rows)]
    )


def _percent(metrics: dict[str, Any], columns: Sequence[str]) -> list[float | None]:
    return [None if metrics[column] is None else 100 * metrics[column] for column in columns]


def _show_percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def robustness_table(report: dict[str, Any]) -> str:
    """Format a row for the original and each perturbation, and the consistency under horizontal flip."""
    original = next(iter(report["rows"].values()))
    lines = [
        f"{report['parser']}, detail {report['detail']}: {original['images']} images, {original['people']} people, "
        f"{original['masks']['people']} of them with a mask and over 64 px",
        "",
        "| images | | AP | to the original | " + " | ".join(ROBUSTNESS_COLUMNS) + " |",
        "|---|---" + "|---:" * (2 + len(ROBUSTNESS_COLUMNS)) + "|",
    ]
    for name, row in report["rows"].items():
        cells = [_cell(row, *path) for path in ROBUSTNESS_COLUMNS.values()]
        lines.append(
            f"| `{name}` | {row['description']} | {_show(row['keypoints']['AP'])} | {_difference(row)} | "
            f"{' | '.join(cells)} |"
        )
    return "\n".join([*lines, *_mirror(report["mirror"])])


def _cell(row: dict[str, Any], group: str, key: str) -> str:
    metrics = row[group]
    if metrics is None:
        return "-"
    return f"{metrics[key]}/{metrics['matched']}" if key == "inversions" else _show(metrics[key])


def _difference(row: dict[str, Any]) -> str:
    if row.get("AP_difference") is None:
        return ""
    low, high = row["AP_difference_interval"]
    return f"{row['AP_difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _mirror(metrics: dict[str, Any] | None) -> list[str]:
    """Format `agreement_metrics` as sentences."""
    if metrics is None:
        return []
    return [
        "",
        "Prediction on the flipped image, flipped back, against the prediction on the image:",
        "",
        f"- same part on {_show(metrics['pixel_agreement'])} of the pixels that either gives a part;",
        f"- {metrics['matched']} of {metrics['people']} people have a partner; the same joint of both is "
        f"{_show(metrics['joint_distance'])} of the person's height apart (median; nine in ten: below "
        f"{_show(metrics['joint_distance90'])}).",
    ]
