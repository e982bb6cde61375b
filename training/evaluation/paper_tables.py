"""What Zhou et al. (CVPR 2021) report for their method, in percent, and our figures in the same columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper: where it stands, on what it was measured, the row of the paper's own method."""

    number: int
    data: str
    columns: tuple[str, ...]
    own: tuple[float, ...]  # percent


PARTS = ("mIoU", "APp50", "APpvol", "PCP50")
REGIONS = ("APr50", "APr60", "APr70", "APrvol")
PAPER_TABLES = {
    "mhp_v2": PaperTable(1, "MHPv2 val", PARTS, (41.4, 39.0, 44.3, 42.3)),
    "densepose_coco": PaperTable(2, "DensePose-COCO test", PARTS, (69.1, 49.7, 54.7, 52.8)),
    "pascal_person_part": PaperTable(3, "PASCAL-Person-Part test", REGIONS, (59.0, 52.3, 38.1, 55.9)),
}
DEFINITIONS = {"de_facto": "AP^r de facto", "one_to_one": "AP^r one-to-one"}


def paper_table(report: dict[str, Any], taxonomy: str, label: str) -> str:
    """The paper's table for data of that taxonomy with the figures of `evaluate` below; empty where it has none.

    `label` names parser and photos: the rows compare only where the photos are those of the paper.
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
        [*lines, *(f"{name:<{width}}" + "".join(f"{_shown(v):>9}" for v in values) for name, values in rows)]
    )


def _percent(figures: dict[str, Any], columns: Sequence[str]) -> list[float | None]:
    return [None if figures[column] is None else 100 * figures[column] for column in columns]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
