from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from model.config import DecoderConfig, apply_overrides


def test_values_take_their_fields_type() -> None:
    config = apply_overrides(DecoderConfig(), ["keypoint_threshold=0.25", "max_people=8", "matcher=greedy"])
    assert config == DecoderConfig(keypoint_threshold=0.25, max_people=8, matcher="greedy")


@dataclass(frozen=True)
class Outer:
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    canvas: tuple[int, int] = (64, 64)
    frozen: bool = False


def test_nested_fields_pairs_and_truth_values() -> None:
    config = apply_overrides(Outer(), ["decoder.max_people=8", "canvas=96,128", "frozen=true"])
    assert config == Outer(DecoderConfig(max_people=8), (96, 128), True)


@pytest.mark.parametrize("text", ["decoder=8", "decoder.width=8", "canvas.width=8", "decoder.matcher.name=greedy"])
def test_what_a_nested_configuration_cannot_take_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){text}.*decoder.keypoint_threshold.*canvas .*frozen"):
        apply_overrides(Outer(), [text])


@pytest.mark.parametrize("text", ["peaple=8", "matchers=greedy", "=3"])
def test_what_cannot_be_set_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){text}.*keypoint_threshold"):
        apply_overrides(DecoderConfig(), [text])
