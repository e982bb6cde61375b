"""Configuration of network and decoder, stored in checkpoint and manifest. Torch-free."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from model.errors import InputError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Config = TypeVar("Config", bound="DataclassInstance")

STRIDE = 4  # canvas pixels a cell of the finest pyramid level X_1 covers
CANVAS_MULTIPLE = 32  # height and width of a canvas are multiples of this: the stride of X_4

Backbone = Literal[
    "resnet18",
    "resnet50",
    "resnet101",
    "efficientnet_lite0",
    "efficientnet_lite2",
    "dinov2_vits14",
    "movenet_multipose",
]
Matcher = Literal["dykstra", "greedy", "greedy_joint"]
Projection = Literal["direct", "coarse_to_fine", "residual", "warped"]


@dataclass(frozen=True)
class ModelConfig:
    """The network: everything that decides which weights a state dict holds."""

    taxonomy: str = "densepose_coco"
    backbone: Backbone = "dinov2_vits14"
    backbone_blocks: int = 12  # DINOv2 only: how many transformer blocks run; the four levels are spread over them
    hidden_dim: int = 128  # channels of every pyramid level and head
    projection: Projection = "warped"  # rows 1-4 of Table 4; "warped" is the paper's method (Eqs. 3-6)
    pyramid_blocks: int = 0  # residual blocks on each of X_2, X_3 and X_4, for all heads; 0: none, as in the paper
    refinement_dim: int = 0  # channels of a last stage that corrects all maps together; 0: none, as in the paper
    pose_prior: bool = False  # pose maps start at the backbone's own prediction (MoveNet); False: as in the paper


@dataclass(frozen=True)
class DecoderConfig:
    """From maps to people. Distances are canvas pixels; the decoder divides them by STRIDE itself.

    `max_candidates` is N of the graph contract, `max_people` is P.
    """

    max_candidates: int = 20
    max_people: int = 32
    radius: float = 32.0  # R of Eq. 8: disk of votes around a joint
    peak_window: int = 5  # cells a side over which the votes for a joint are summed
    keypoint_threshold: float = 0.7  # a joint's votes in the window must exceed it (section 3.3)
    limb_samples: int = 10  # Gaussian responses read along a limb
    limb_threshold: float = 0.1  # a matched limb whose mean response is below this is dropped
    limb_coverage: float = 0.8  # share of the samples that must exceed half of it, or the pair is no limb
    center_weight: float = 0.0  # share of agreement on a person's center in a pair's score; 0: limbs alone, the paper
    center_threshold: float = 0.1  # a center's probability must exceed it
    fill_score: float = 0.0  # score of a joint not found that a person's center places; 0: left out, as in the paper
    matcher: Matcher = "dykstra"  # Table 5: the paper's, and two it compares with
    matcher_step: float = 2.0  # alpha of Eq. 15
    matcher_outer: int = 12  # projected gradient steps
    matcher_inner: int = 1  # Dykstra sweeps a step
    person_threshold: float = 0.1  # lowest sum of joint scores over K of a person that is reported
    association_power: float = 1.0  # of a person's size in Eq. 17; 1: the paper
    association_part_weight: float = 0.0  # in it, of a cell's distance to its part of a person; 0: the paper
    association_limit: float = 0.0  # largest psi (Eq. 17) of a cell of a person with all joints; 0: none, the paper
    calibration: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of person scores, `decoder.calibration`; zeros: none
    calibration_part_weight: float = 0.0  # in it, of how certain the parts of a person's cells are; 0: not counted
    vote: Literal["scatter", "tent"] = "scatter"  # equal results; "tent" avoids ScatterElements for TensorRT


def apply_overrides(config: Config, assignments: Sequence[str]) -> Config:
    """`config` with fields set by NAME=VALUE texts, as commands take them.

    A field of a nested configuration is named `model.hidden_dim`, a pair is written `256,384`, a truth value `true`.
    Raises InputError for a name that there is not, with those there are, and for a value that the field's annotation
    does not allow, with those it allows.
    """
    for text in assignments:
        name, _, value = text.partition("=")
        config = _with_value(config, name.split("."), value, text, config)
    return config


def _with_value(config: Config, path: Sequence[str], value: str, text: str, outermost: DataclassInstance) -> Config:
    name, *rest = path
    kind = get_type_hints(type(config)).get(name)
    if kind is None or bool(rest) != dataclasses.is_dataclass(kind):
        raise InputError(f"cannot set {text!r}; there are {', '.join(_settable(outermost))}")
    if rest:
        nested = _with_value(getattr(config, name), rest, value, text, outermost)
        return dataclasses.replace(config, **{name: nested})
    try:
        parsed = TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False)).validate_python(_raw(value, kind))
    except ValidationError:
        raise InputError(f"cannot set {text!r}: {name} takes {_allowed(kind)}") from None
    return dataclasses.replace(config, **{name: parsed})


def _raw(value: str, kind: object) -> object:
    """`value` as pydantic takes it: pairs in a list, truth values in one spelling."""
    if get_origin(kind) is tuple:
        texts = value.split(",")
        kinds = get_args(kind)
        return [_raw(text, one) for text, one in zip(texts, kinds, strict=True)] if len(texts) == len(kinds) else None
    if kind is bool:
        return {"true": True, "false": False}.get(value)
    return value


def _allowed(kind: object) -> str:
    """Describe the values that a field of this annotation takes."""
    if get_origin(kind) is Literal:
        return " or ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple and Ellipsis not in get_args(kind):
        return f"{len(get_args(kind))} values with commas between them: {', '.join(map(_allowed, get_args(kind)))}"
    words: dict[object, str] = {int: "an integer", float: "a number", str: "a text", bool: "true or false"}
    return words.get(kind, "no text: it is set in a recipe")


def _settable(config: DataclassInstance, prefix: str = "") -> list[str]:
    names = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            names += _settable(value, f"{prefix}{field.name}.")
        else:
            names.append(f"{prefix}{field.name} ({field.type})")
    return names
