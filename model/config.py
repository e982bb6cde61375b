"""What makes two parsers different: these dataclasses travel in checkpoint and manifest. Torch-free."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

STRIDE = 4  # canvas pixels a cell of the finest pyramid level X_1 covers
CANVAS_MULTIPLE = 32  # height and width of a canvas are multiples of this: the stride of X_4

Backbone = Literal["resnet18", "resnet50", "resnet101", "efficientnet_lite0", "efficientnet_lite2", "dinov2_vits14"]
Projection = Literal["direct", "coarse_to_fine", "residual", "warped"]


@dataclass(frozen=True)
class ModelConfig:
    """The network: everything that decides which weights a state dict holds."""

    taxonomy: str = "densepose_coco"
    backbone: Backbone = "dinov2_vits14"
    backbone_blocks: int = 12  # DINOv2 only: how many transformer blocks run; the four taps are spread over them
    width: int = 128  # channels of every pyramid level and head
    projection: Projection = "warped"  # rows 1-4 of Table 4; "warped" is the paper's method (Eqs. 3-6)


@dataclass(frozen=True)
class DecoderConfig:
    """From maps to people. Distances are canvas pixels; the decoder divides them by STRIDE itself.

    `candidates` is N of the graph contract, `people` is P.
    """

    candidates: int = 20
    people: int = 32
    radius: float = 32.0  # R of Eq. 8: disk of votes around a joint
    peak_window: int = 5  # cells a side over which the votes for a joint are summed
    keypoint_threshold: float = 0.7  # a joint's votes in the window must exceed it (section 3.3)
    limb_samples: int = 10  # Gaussian responses read along a limb
    limb_threshold: float = 0.1  # a matched limb whose mean response is below this is dropped
    matcher: Literal["dykstra", "greedy"] = "dykstra"
    matcher_step: float = 2.0  # alpha of Eq. 15
    matcher_outer: int = 12  # projected gradient steps
    matcher_inner: int = 1  # Dykstra sweeps a step
    person_threshold: float = 0.1  # lowest sum of joint scores over K of a person that is reported
    vote: Literal["scatter", "tent"] = "scatter"  # equal results; "tent" avoids ScatterElements for TensorRT


def with_values(config: DecoderConfig, assignments: Sequence[str]) -> DecoderConfig:
    """`config` with fields set by NAME=VALUE texts, as commands take them.

    Raises ValueError, naming the fields there are, for another name or a value of another type.
    """
    values: dict[str, object] = {}
    for text in assignments:
        name, _, value = text.partition("=")
        kind = type(getattr(config, name, None))
        try:
            values[name] = {int: int, float: float, str: str}[kind](value)
        except (KeyError, ValueError):
            fields = ", ".join(f"{f.name} ({f.type})" for f in dataclasses.fields(config))
            raise ValueError(f"cannot set {text!r}; the decoder has {fields}") from None
    return dataclasses.replace(config, **values)  # type: ignore[arg-type]  # each value has its field's type
