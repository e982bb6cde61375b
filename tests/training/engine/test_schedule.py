from __future__ import annotations

from dataclasses import replace

import pytest

from training.config.recipes import RECIPES, paper_mhp_v2
from training.config.train_config import Stage
from training.engine.schedule import Schedule


def rates(schedule: Schedule, *steps: int) -> list[float]:
    return [schedule.at(step)[1] for step in steps]


def test_the_papers_two_steps() -> None:
    """Section 3.4: 5e-2, after 120 epochs 5e-3, until 150; then 50 epochs at 1e-4 with the matching loss."""
    epoch = 15_403 // 32
    schedule = Schedule(paper_mhp_v2().stages, epoch)
    assert schedule.steps == 200 * epoch
    ends = [0, 120 * epoch - 1, 120 * epoch, 150 * epoch - 1, 150 * epoch, 200 * epoch - 1]
    assert rates(schedule, *ends) == [5e-2, 5e-2, 5e-3, 5e-3, 1e-4, 1e-4]
    assert [schedule.at(step)[0].matching for step in ends] == [False] * 4 + [True] * 2


def test_rates_warm_up_and_fall() -> None:
    schedule = Schedule([Stage(steps=100, learning_rate=2.0, lr_schedule="cosine", warmup_steps=10)], 7)
    assert rates(schedule, 0, 9, 10, 55, 99) == pytest.approx([0.2, 2.0, 2.0, 1.01, 0.02], abs=2e-3)


def test_another_length_keeps_the_proportions() -> None:
    stages = paper_mhp_v2().stages
    assert Schedule(stages, 481, steps=400).lengths == (240, 60, 100)
    assert Schedule(stages, 481, steps=3).lengths == (1, 1, 1)
    assert Schedule(stages, 481, steps=5).lengths == (3, 1, 1)
    cosine = Schedule([Stage(steps=1000, learning_rate=1.0, warmup_steps=100)], 7, steps=50)
    assert rates(cosine, 4, 5) == [1.0, 1.0]
    assert rates(cosine, 0) == [0.2]


def test_an_invalid_schedule_is_refused() -> None:
    with pytest.raises(ValueError, match="give each a length"):
        Schedule([Stage(learning_rate=1.0)], 10)
    with pytest.raises(ValueError, match="2 steps are too few for 3 stages"):
        Schedule(paper_mhp_v2().stages, 10, steps=2)
    with pytest.raises(ValueError, match="step 4 is beyond the 4 steps"):
        Schedule([Stage(steps=4, learning_rate=1.0)], 10).at(4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_has_a_schedule(name: str) -> None:
    config = RECIPES[name]()
    assert Schedule(config.stages, 100).steps > 0
    assert any(stage.matching for stage in config.stages) == (not name.startswith(("table5_greedy", "table5_unlearnt")))


def test_ablation_rows_differ_only_in_the_named_setting() -> None:
    whole = paper_mhp_v2()
    assert RECIPES["table4_warped"]() == RECIPES["table5_differentiable"]() == whole
    forms = [RECIPES[f"table4_{form}"]() for form in ("direct", "coarse_to_fine", "residual")]
    assert [row.model.projection for row in forms] == ["direct", "coarse_to_fine", "residual"]
    for row in forms:
        assert replace(row, model=whole.model) == whole
    greedy = RECIPES["table5_greedy"]()
    assert greedy.decoder.matcher == "greedy"
    assert replace(greedy, decoder=whole.decoder, stages=whole.stages) == whole
