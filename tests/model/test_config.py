from __future__ import annotations

import pytest

from model.config import DecoderConfig, with_values


def test_values_take_their_fields_type() -> None:
    config = with_values(DecoderConfig(), ["keypoint_threshold=0.25", "people=8", "matcher=greedy"])
    assert config == DecoderConfig(keypoint_threshold=0.25, people=8, matcher="greedy")


@pytest.mark.parametrize("text", ["peaple=8", "people=many", "people", "=3"])
def test_what_cannot_be_set_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=f"(?s){text}.*keypoint_threshold"):
        with_values(DecoderConfig(), [text])
