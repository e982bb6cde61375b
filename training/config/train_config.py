"""Configuration of a training run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from model.config import DecoderConfig, ModelConfig


@dataclass(frozen=True)
class Stage:
    """A part of a run of `epochs` or, if those are 0, `steps` of the optimizer."""

    learning_rate: float
    epochs: float = 0.0
    steps: int = 0
    lr_schedule: Literal["constant", "cosine"] = "constant"  # "cosine" falls to a hundredth
    warmup_steps: int = 0  # steps of linear warmup from 0
    matching: bool = False  # the paper's second step: adds the matching loss
    input_size: tuple[int, int] | None = None  # overrides the run's
    backbone_lr_mult: float | None = None  # overrides the run's; 0 freezes the backbone


@dataclass(frozen=True)
class TrainConfig:
    """Configuration of one training run. Sizes are (height, width) in canvas pixels."""

    stages: tuple[Stage, ...]
    model: ModelConfig = field(default_factory=ModelConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    input_size: tuple[int, int] = (256, 256)
    batch_size: int = 8  # images per step, over all processes
    gradient_accumulation_steps: int = 1  # forward passes per step and process: more need less memory
    optimizer: Literal["sgd", "adamw"] = "adamw"
    backbone_lr_mult: float = 0.1  # factor of the learning rate for pretrained layers
    normalize_pretrained: bool = True  # AdamW updates pretrained tensors in proportion to their RMS: `unit_rms`
    weight_decay: float = 1e-2
    freeze_backbone: bool = False
    frozen_stages: int = 0  # first stages of the backbone that keep their public weights
    max_grad_norm: float = 10.0  # gradients are clipped to this norm
    ema_decay: float = 0.998  # of the moving average of the weights, which is evaluated and exported; 0: none
    offset_loss_weight: float = 1.0  # weight of the offset loss; other tasks have 1
    pseudo_mask_weight: float = 1.0  # in the loss of parts, of pixels on and around masks that a model made
    boundary_weight: float = 1.0  # in the loss of parts, of pixels at the contours of the other masks
    center_loss_weight: float = 0.2  # weight of the center loss and of the regression loss, each
    precision: Literal["float32", "bfloat16"] = "float32"  # of the network; losses and decoder stay float32
    hflip_prob: float = 0.5
    scale: tuple[float, float] = (0.5, 2.0)
    rotation: float = 10.0  # largest angle in degrees, in both directions
    color_jitter: float = 0.3  # strength of brightness, contrast, saturation and hue jitter
    jpeg_prob: float = 0.0  # probability that a sample is compressed as a JPEG once more
    synthetic_fraction: float = 0.15  # of an epoch's samples that are synthetic images, if there are any
    pseudo_label_fraction: float = 1.0  # of the images with pseudo-labelled joints, drawn per epoch
    unlabeled_as: Literal["unknown", "background"] = "unknown"  # pixels labelled 255 are ignored or background
    copy_paste_prob: float = 0.0  # probability of copy-paste augmentation per sample
    num_val_images: int = 40  # held-out images evaluated after each epoch
    seed: int = 0
    num_workers: int = 1  # data loading processes per training process
    checkpoint_interval_s: float = 240.0  # largest time between checkpoints
    tensorboard: bool = False  # also write TensorBoard scalars; needs the package tensorboard
