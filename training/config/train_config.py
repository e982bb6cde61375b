"""Configuration of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from model.config import DecoderConfig, ModelConfig


@dataclass(frozen=True)
class Stage:
    """A part of a run that lasts `epochs` or, if those are 0, `steps` of the optimizer."""

    learning_rate: float
    epochs: float = 0.0
    steps: int = 0
    lr_schedule: Literal["constant", "cosine"] = "constant"  # "cosine" falls to a hundredth
    warmup_steps: int = 0  # steps in which the rate rises from 0
    matching: bool = False  # the paper's second step: also learn from wrong limb assignments
    input_size: tuple[int, int] | None = None  # instead of the run's
    backbone_lr_mult: float | None = None  # instead of the run's; 0 keeps the backbone as it is


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Sizes are canvas pixels."""

    stages: tuple[Stage, ...]
    model: ModelConfig = field(default_factory=ModelConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    input_size: tuple[int, int] = (256, 256)
    batch_size: int = 8  # images per step, over all processes
    gradient_accumulation_steps: int = 1  # forward passes per step and process: more need less memory
    optimizer: Literal["sgd", "adamw"] = "adamw"
    backbone_lr_mult: float = 0.1  # the pretrained layers' share of the learning rate
    normalize_pretrained: bool = True  # AdamW moves pretrained tensors in proportion to their size: `unit_rms`
    weight_decay: float = 1e-2
    freeze_backbone: bool = False
    frozen_stages: int = 0  # how many first stages of the backbone keep their public weights
    max_grad_norm: float = 10.0  # largest gradient norm
    ema_decay: float = 0.998  # the weights that are evaluated and exported are this moving average; 0: the last ones
    offset_loss_weight: float = 1.0  # how much the offsets' part of the loss counts, where other tasks' counts 1
    center_loss_weight: float = 0.2  # and that of centers and of the ways from them, each
    precision: Literal["float32", "bfloat16"] = "float32"  # of the network; losses and decoder stay float32
    hflip_prob: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0  # degrees either way
    color_jitter: float = 0.3  # strength of brightness, contrast, saturation and hue jitter
    synthetic_fraction: float = 0.15  # of the samples, drawn from rendered sets where there are any
    pseudo_label_fraction: float = 1.0  # of the images without human keypoints, drawn anew in each epoch
    unlabeled_as: Literal["unknown", "background"] = "unknown"  # what pixels labelled 255 teach: nothing, or nobody
    copy_paste_prob: float = 0.0  # probability that people of another image are looked for, to be pasted into a view
    num_val_images: int = 40  # held-out images that are parsed after each epoch
    seed: int = 0
    num_workers: int = 1  # processes that load images, for each training process
    checkpoint_interval_s: float = 240.0  # between checkpoints: what a kill can cost
    tensorboard: bool = False  # also log scalars for TensorBoard, whose package must be installed
