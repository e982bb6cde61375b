"""Recipes: functions that return a complete `TrainConfig`; `ABLATIONS` defines those of the paper's ablations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from model.config import DecoderConfig, Matcher, ModelConfig, Projection
from training.config.train_config import Stage, TrainConfig

Change = Callable[[TrainConfig], TrainConfig]


def default_weights() -> TrainConfig:
    """Train the default bundle from MoveNet's public weights: two hours on two cores with `precision=bfloat16`.

    The first stage trains new layers on a frozen backbone. Crops of 384 px then show people as large as the canvases of
    detail fast to high do. The last stage has crops of 512 px, because a tall person does not fit into 384 px at that
    scale. The voting radius is half the paper's, to separate the joints of small people. Pose maps start at MoveNet's.
    Images with pseudo-labelled joints are sampled less often than human-annotated ones.
    """
    return TrainConfig(
        stages=(
            Stage(steps=250, learning_rate=2e-3, warmup_steps=50, backbone_lr_mult=0.0, input_size=(320, 320)),
            Stage(steps=3000, learning_rate=1.6e-3, lr_schedule="cosine", warmup_steps=50),
            Stage(
                steps=500, learning_rate=4e-4, lr_schedule="cosine", warmup_steps=20, matching=True,
                input_size=(512, 512),
            ),
        ),
        model=ModelConfig(
            backbone="movenet_multipose", hidden_dim=64, pyramid_blocks=2, refinement_dim=128, pose_prior=True
        ),
        decoder=DecoderConfig(
            radius=16.0, peak_window=3, keypoint_threshold=0.3, limb_threshold=0.15, person_threshold=0.05,
            center_weight=0.5, fill_score=0.05, association_power=0.5, association_part_weight=1.0,
        ),
        input_size=(384, 384),
        backbone_lr_mult=0.15,
        frozen_stages=3,
        offset_loss_weight=3.0,
        scale=(0.6, 2.0),
        rotation=20.0,
        color_jitter=0.4,
        synthetic_fraction=0.0,
        pseudo_label_fraction=0.4,
        copy_paste_prob=0.2,
    )  # fmt: skip


def default_weights_gpu() -> TrainConfig:
    """Train the default bundle with batches of 192, on a GPU of 80 GiB with 16 CPU cores.

    Version 7 is three fifths of the first stage, from version 6's weights.
    """
    stages = (
        Stage(steps=5000, learning_rate=4e-3, lr_schedule="cosine", warmup_steps=150),
        Stage(
            steps=600, learning_rate=1e-3, lr_schedule="cosine", warmup_steps=50, matching=True, input_size=(512, 512)
        ),
    )
    return replace(
        default_weights(), stages=stages, batch_size=192, ema_decay=0.999, precision="bfloat16", num_workers=15
    )


def fine_tuning() -> TrainConfig:
    """Fine-tune the default bundle on your own images: ten epochs at a fifth of the learning rate."""
    stages = (
        Stage(epochs=9, learning_rate=3e-4, lr_schedule="cosine", warmup_steps=50),
        Stage(epochs=1, learning_rate=6e-5, lr_schedule="cosine", warmup_steps=5, matching=True),
    )
    return replace(default_weights(), stages=stages, pseudo_label_fraction=1.0, copy_paste_prob=0.0)


def paper_mhp_v2() -> TrainConfig:
    """The paper on MHPv2 (sections 3.4 and 4.1): ResNet-101 with ImageNet's batch statistics, SGD, batch 32.

    Differs from the paper: the canvas is 512 x 512 (the paper gives no size), the network computes in bfloat16, and
    gradients are clipped at a norm of 10.
    """
    return TrainConfig(
        stages=(
            Stage(epochs=120, learning_rate=5e-2),
            Stage(epochs=30, learning_rate=5e-3),
            Stage(epochs=50, learning_rate=1e-4, matching=True),
        ),
        model=ModelConfig(taxonomy="mhp_v2", backbone="resnet101", hidden_dim=256),
        input_size=(512, 512),
        batch_size=32,
        optimizer="sgd",
        backbone_lr_mult=1.0,
        weight_decay=1e-5,
        ema_decay=0.0,
        precision="bfloat16",
        synthetic_fraction=0.0,
        num_workers=4,
    )


def paper_densepose_coco() -> TrainConfig:
    """The paper on DensePose-COCO."""
    return _with_taxonomy(paper_mhp_v2(), "densepose_coco")


def paper_pascal_person_part() -> TrainConfig:
    """The paper on PASCAL-Person-Part."""
    return _with_taxonomy(paper_mhp_v2(), "pascal_person_part")


def short() -> TrainConfig:
    """Compare variants of the method in twenty minutes on one CPU core; the weights are not meant for use."""
    return TrainConfig(
        stages=(
            Stage(steps=480, learning_rate=2e-3, lr_schedule="cosine", warmup_steps=40),
            Stage(steps=120, learning_rate=5e-4, lr_schedule="cosine", warmup_steps=10, matching=True),
        ),
        model=ModelConfig(backbone="dinov2_vits14", backbone_blocks=9, hidden_dim=96),
        decoder=DecoderConfig(keypoint_threshold=0.25, limb_threshold=0.2),
        input_size=(192, 192),
        freeze_backbone=True,
        scale=(0.6, 1.9),
        synthetic_fraction=0.5,
        num_val_images=0,
    )


def smoke() -> TrainConfig:
    """Test data, losses, checkpoints and previews in two minutes on a CPU."""
    return TrainConfig(
        stages=(Stage(steps=16, learning_rate=1e-3, warmup_steps=5), Stage(steps=4, learning_rate=1e-4, matching=True)),
        model=ModelConfig(backbone="resnet18", hidden_dim=64),
        input_size=(128, 128),
        batch_size=4,
        num_val_images=4,
        num_workers=0,
    )


def _with_taxonomy(config: TrainConfig, taxonomy: str) -> TrainConfig:
    return replace(config, model=replace(config.model, taxonomy=taxonomy))


def _with_projection(form: Projection) -> Change:
    return lambda config: replace(config, model=replace(config.model, projection=form))


def _without_matching_loss(matcher: Matcher) -> Change:
    def change(config: TrainConfig) -> TrainConfig:
        stages = tuple(replace(stage, matching=False) for stage in config.stages)
        return replace(config, stages=stages, decoder=replace(config.decoder, matcher=matcher))

    return change


# The rows of the paper's ablations, as changes of any recipe.
ABLATIONS: dict[str, tuple[str, Change]] = {
    "table4_direct": ("field regressed at once from all levels", _with_projection("direct")),
    "table4_coarse_to_fine": ("a complete field at each level (Eq. 2)", _with_projection("coarse_to_fine")),
    "table4_residual": ("residues to the enlarged coarser field (Eq. 3)", _with_projection("residual")),
    "table4_warped": ("enlarged along a learnt flow (Eqs. 4-6)", _with_projection("warped")),
    # The paper does not describe the greedy matching of its reference [39]; [4] is OpenPose.
    "table5_greedy_joint": ("each joint takes the best partner left", _without_matching_loss("greedy_joint")),
    "table5_greedy": ("the best pair of a limb first", _without_matching_loss("greedy")),
    "table5_unlearnt": (
        "differentiable matching, not learnt through (no row of the paper)",
        _without_matching_loss("dykstra"),
    ),
    "table5_differentiable": ("differentiable matching, learnt through", _with_projection("warped")),
}


def _ablation(change: Change) -> Callable[[], TrainConfig]:
    return lambda: change(paper_mhp_v2())


_ALL = (
    default_weights, default_weights_gpu, fine_tuning, paper_mhp_v2, paper_densepose_coco, paper_pascal_person_part,
    short, smoke,
)  # fmt: skip
RECIPES: dict[str, Callable[[], TrainConfig]] = {recipe.__name__: recipe for recipe in _ALL}
RECIPES |= {name: _ablation(change) for name, (_, change) in ABLATIONS.items()}
