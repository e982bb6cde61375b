from __future__ import annotations

import dataclasses
from typing import get_args

import pytest

from model.config import Backbone, DecoderConfig, Matcher, Projection, apply_overrides
from model.errors import InputError
from training.config.recipes import RECIPES

RECIPE = RECIPES["smoke"]()


@pytest.mark.parametrize(
    ("text", "choices"),
    [
        ("optimizer=adam", ("sgd", "adamw")),
        ("precision=float16", ("float32", "bfloat16")),
        ("unlabeled_as=nothing", ("unknown", "background")),
        ("decoder.matcher=hungarian", get_args(Matcher)),
        ("decoder.vote=none", ("scatter", "tent")),
        ("model.projection=foo", get_args(Projection)),
        ("model.backbone=vgg16", get_args(Backbone)),
    ],
)
def test_override_outside_the_choices_is_refused_with_them(text: str, choices: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as raised:
        apply_overrides(RECIPE, [text])
    assert str(raised.value) == f"cannot set {text!r}: {text.split('=')[0].split('.')[-1]} takes {' or '.join(choices)}"


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("batch_size=4.5", "an integer"),
        ("batch_size=", "an integer"),
        ("hflip_prob=often", "a number"),
        ("hflip_prob=nan", "a number"),
        ("weight_decay=inf", "a number"),
        ("freeze_backbone=yes", "true or false"),
        ("input_size=96", "2 values with commas between them: an integer, an integer"),
        ("input_size=96,wide", "2 values with commas between them: an integer, an integer"),
        ("scale=1,2,3", "2 values with commas between them: a number, a number"),
        ("stages=1", "no text"),
    ],
)
def test_override_of_another_type_is_refused(text: str, allowed: str) -> None:
    with pytest.raises(InputError, match=f"cannot set {text!r}: .* takes {allowed}"):
        apply_overrides(RECIPE, [text])


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_passes_its_own_check(name: str) -> None:
    """Each value of a recipe is one that its field takes, written as an override."""
    recipe = RECIPES[name]()
    texts = [f"{field}={_text(value)}" for field, value in _flat(dataclasses.asdict(recipe)) if field != "stages"]
    assert apply_overrides(recipe, texts) == recipe


def test_value_of_a_choice_is_taken() -> None:
    config = apply_overrides(RECIPE, ["optimizer=sgd", "decoder.matcher=greedy", "model.projection=direct"])
    assert (config.optimizer, config.decoder.matcher, config.model.projection) == ("sgd", "greedy", "direct")
    assert apply_overrides(DecoderConfig(), ["matcher=greedy_joint"]).matcher == "greedy_joint"


def _flat(values: dict[str, object], prefix: str = "") -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for name, value in values.items():
        pairs += _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return pairs


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
