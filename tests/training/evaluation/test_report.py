"""The paper's rows beside ours."""

from __future__ import annotations

from typing import Any

import pytest

from model.taxonomy import TAXONOMIES
from training.evaluation.report import PAPER_TABLES, paper_table


def report(**parts: float | None) -> dict[str, Any]:
    regions = dict.fromkeys(("APr50", "APr60", "APr70", "APrvol"), 0.25)
    apr = {"de_facto": {**regions, "APr50": 1.5}, "one_to_one": regions}
    return {"parts": {"mIoU": 0.5, "APp50": 0.25, "APpvol": 0.125, "PCP50": 0.0, "APr": apr, **parts}}


def test_every_set_of_the_paper_has_its_table() -> None:
    assert set(PAPER_TABLES) == set(TAXONOMIES)
    for table in PAPER_TABLES.values():
        assert len(table.columns) == len(table.own) == 4


@pytest.mark.parametrize(("taxonomy", "number"), [("mhp_v2", 1), ("densepose_coco", 2)])
def test_the_layout_of_tables_1_and_2(taxonomy: str, number: int) -> None:
    title, paper, ours = paper_table(report(PCP50=None), taxonomy, "mine, on 3 images of here").splitlines()
    assert title.startswith(f"Table {number} of the paper, %")
    assert title.split()[-4:] == ["mIoU", "APp50", "APpvol", "PCP50"]
    assert paper.split()[-4:] == [str(value) for value in PAPER_TABLES[taxonomy].own]
    assert ours.startswith("mine, on 3 images of here")
    assert ours.split()[-4:] == ["50.0", "25.0", "12.5", "-"]
    assert len(title) == len(paper) == len(ours)


def test_table_3_has_both_definitions() -> None:
    _, _, de_facto, once = paper_table(report(), "pascal_person_part", "mine").splitlines()
    assert de_facto.split() == ["mine", "(AP^r", "de", "facto)", "150.0", "25.0", "25.0", "25.0"]
    assert once.split() == ["mine", "(AP^r", "one-to-one)", "25.0", "25.0", "25.0", "25.0"]


def test_other_parts_have_no_table() -> None:
    assert paper_table(report(), "my_parts", "mine") == ""
