"""Recipes: functions that return everything a training run depends on but its data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from model.config import DecoderConfig, ModelConfig


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Sizes are canvas pixels, lengths are optimiser steps."""

    model: ModelConfig = field(default_factory=ModelConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    canvas: tuple[int, int] = (256, 256)
    batch: int = 8
    steps: int = 4000
    optimizer: Literal["sgd", "adamw"] = "adamw"
    learning_rate: float = 1e-3
    backbone_rate: float = 0.1  # the pretrained layers' share of the learning rate
    weight_decay: float = 1e-2
    schedule: Literal["cosine", "drop"] = "cosine"
    drop_at: float = 0.8  # "drop": the share of the steps after which the rate falls to a tenth
    warmup: int = 100
    freeze_backbone: bool = False
    matching: bool = False  # the paper's second step: also learn from wrong limb assignments
    clip_norm: float = 10.0  # largest gradient norm
    ema_decay: float = 0.998  # the weights that are evaluated and exported are this moving average
    bfloat16: bool = False  # autocast the network; losses and decoder stay float32
    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0  # degrees either way
    colour: float = 0.3  # strength of brightness, contrast and saturation jitter
    synthetic_share: float = 0.15  # of the samples, drawn from rendered sets where there are any
    seed: int = 0
    workers: int = 1


def default_weights() -> TrainConfig:
    """The default bundle: a frozen DINOv2, heads and pyramid trained at 256 px; an hour on two quiet CPU cores.

    Its thresholds are lower than the paper's 0.7: after so little training the votes for a joint scatter.
    """
    return TrainConfig(
        model=ModelConfig(backbone="dinov2_vits14", backbone_blocks=9, width=96),
        decoder=DecoderConfig(keypoint_threshold=0.25, limb_threshold=0.2),
        freeze_backbone=True,
        scale=(0.6, 1.9),
        learning_rate=2e-3,
        steps=1720,
    )


def default_weights_matching() -> TrainConfig:
    """The second step of `default_weights`, started from its checkpoint."""
    return dataclasses.replace(default_weights(), matching=True, steps=380, learning_rate=5e-4, warmup=20, seed=1)


def paper() -> TrainConfig:
    """The paper's first step (section 3.4): ResNet-101, SGD, batch 32, 5e-2 then 5e-3; 150 epochs of 7,000 photos."""
    return TrainConfig(
        model=ModelConfig(backbone="resnet101", width=256),
        canvas=(512, 512),
        batch=32,
        steps=32_800,
        optimizer="sgd",
        learning_rate=5e-2,
        backbone_rate=1.0,
        weight_decay=1e-5,
        schedule="drop",
        drop_at=0.8,
        bfloat16=True,
        ema_decay=0.0,
        synthetic_share=0.0,
    )


def paper_matching() -> TrainConfig:
    """The paper's second step: 50 epochs more at 1e-4 with the matching loss."""
    return dataclasses.replace(paper(), matching=True, steps=10_900, learning_rate=1e-4, drop_at=1.0)


def smoke() -> TrainConfig:
    """Two minutes on a CPU: shows that data, losses, checkpoints and pictures work."""
    return TrainConfig(
        model=ModelConfig(backbone="resnet18", width=64), canvas=(128, 128), batch=4, steps=20, warmup=5, workers=0
    )


RECIPES = {f.__name__: f for f in (default_weights, default_weights_matching, paper, paper_matching, smoke)}
