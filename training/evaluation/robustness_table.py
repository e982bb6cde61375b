"""The figures of `training.evaluation.robustness` as Markdown."""

from __future__ import annotations

from typing import Any

# Column: where `summarise` says it.
COLUMNS = {
    "AP50": ("keypoints", "AP50"),
    "AP tall": ("keypoints", "AP_tall"),
    "AP50 tall": ("keypoints", "AP50_tall"),
    "mask IoU": ("masks", "mean_IoU"),
    "mIoU": ("parts", "mIoU"),
    "right part": ("joints_on_parts", "right_side"),
    "swapped": ("persons", "swapped"),
    "nobody found": ("persons", "nobody_found"),
}


def robustness_table(report: dict[str, Any]) -> str:
    """A row for the original and each disturbance, then how far the answer mirrors with the photo."""
    original = next(iter(report["rows"].values()))
    lines = [
        f"{report['parser']}, detail {report['detail']}: {original['photos']} photos, {original['people']} people, "
        f"{original['masks']['people']} of them with a mask and over 64 px",
        "",
        "| photos | | AP | to the original | " + " | ".join(COLUMNS) + " |",
        "|---|---" + "|---:" * (2 + len(COLUMNS)) + "|",
    ]
    for name, row in report["rows"].items():
        cells = [_cell(row, *path) for path in COLUMNS.values()]
        lines.append(
            f"| `{name}` | {row['meaning']} | {_show(row['keypoints']['AP'])} | {_difference(row)} | "
            f"{' | '.join(cells)} |"
        )
    return "\n".join([*lines, *_mirror(report["mirror"])])


def _cell(row: dict[str, Any], group: str, key: str) -> str:
    figures = row[group]
    if figures is None:
        return "-"
    return f"{figures[key]}/{figures['matched']}" if key == "swapped" else _show(figures[key])


def _difference(row: dict[str, Any]) -> str:
    if row.get("AP_difference") is None:
        return ""
    low, high = row["AP_difference_interval"]
    return f"{row['AP_difference']:+.3f} [{low:+.3f}, {high:+.3f}]"


def _mirror(figures: dict[str, Any] | None) -> list[str]:
    """Sentences on `agreement_figures`."""
    if figures is None:
        return []
    return [
        "",
        "The answer on the mirrored photo, mirrored back, against the answer on the photo:",
        "",
        f"- same part on {_show(figures['same_part'])} of the pixels that either gives a part;",
        f"- {figures['paired']} of {figures['people']} people have a partner; the same joint of both is "
        f"{_show(figures['joint_distance'])} of the person's height apart (median; nine in ten: below "
        f"{_show(figures['joint_distance90'])}).",
    ]


def _show(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
