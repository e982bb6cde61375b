"""Everything that a training run depends on but its data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from model.config import DecoderConfig, ModelConfig


@dataclass(frozen=True)
class Stage:
    """A stretch of a run, as long as `epochs` or, where those are 0, as `steps` of the optimiser."""

    learning_rate: float
    epochs: float = 0.0
    steps: int = 0
    decay: Literal["constant", "cosine"] = "constant"  # "cosine" falls to a hundredth
    warmup: int = 0  # steps in which the rate rises from 0
    matching: bool = False  # the paper's second step: also learn from wrong limb assignments
    canvas: tuple[int, int] | None = None  # instead of the run's
    backbone_rate: float | None = None  # instead of the run's; 0 keeps the backbone as it is


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Sizes are canvas pixels."""

    stages: tuple[Stage, ...]
    model: ModelConfig = field(default_factory=ModelConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    canvas: tuple[int, int] = (256, 256)
    batch: int = 8  # photos a step, over all processes
    accumulate: int = 1  # forward passes a process makes them in: more need less memory
    optimizer: Literal["sgd", "adamw"] = "adamw"
    backbone_rate: float = 0.1  # the pretrained layers' share of the learning rate
    normalize_pretrained: bool = True  # AdamW moves pretrained tensors in proportion to their size: `unit_rms`
    weight_decay: float = 1e-2
    freeze_backbone: bool = False
    freeze_blocks: int = 0  # how many first blocks of the backbone keep their public weights
    clip_norm: float = 10.0  # largest gradient norm
    ema_decay: float = 0.998  # the weights that are evaluated and exported are this moving average; 0: the last ones
    offset_weight: float = 1.0  # how much the offsets' part of the loss counts, where other tasks' counts 1
    center_loss_weight: float = 0.2  # and that of centers and of the ways from them, each
    precision: Literal["float32", "bfloat16"] = "float32"  # of the network; losses and decoder stay float32
    flip: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0  # degrees either way
    colour: float = 0.3  # strength of brightness, contrast, saturation and hue jitter
    synthetic_share: float = 0.15  # of the samples, drawn from rendered sets where there are any
    teacher_share: float = 1.0  # of the photos without human keypoints, drawn anew in each epoch
    ignore: Literal["unknown", "background"] = "unknown"  # what pixels labelled 255 teach: nothing, or nobody
    paste: float = 0.0  # probability that people of another photo are looked for, to be pasted into a view
    validation: int = 40  # held-out photos that are parsed after each epoch
    seed: int = 0
    workers: int = 1  # processes that load photos, for each training process
    save_seconds: float = 240.0  # between checkpoints: what a kill can cost
