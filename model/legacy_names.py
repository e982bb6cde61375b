"""Names that earlier versions gave to stored values: read for one version more, never written.

Torch-free. Remove after version 0.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Old name: today's. Fields of `ModelConfig` and `DecoderConfig`, in checkpoints and manifests.
MODEL = {"width": "hidden_dim", "refine": "refinement_dim"}
DECODER = {"candidates": "max_candidates", "people": "max_people"}
# Fields of `TrainConfig` and `Stage`, by which a checkpoint says what it was trained with.
TRAIN = {
    **MODEL,
    **DECODER,
    "canvas": "input_size",
    "batch": "batch_size",
    "accumulate": "gradient_accumulation_steps",
    "backbone_rate": "backbone_lr_mult",
    "freeze_blocks": "frozen_stages",
    "clip_norm": "max_grad_norm",
    "offset_weight": "offset_loss_weight",
    "flip": "hflip_prob",
    "colour": "color_jitter",
    "synthetic_share": "synthetic_fraction",
    "teacher_share": "pseudo_label_fraction",
    "ignore": "unlabeled_as",
    "paste": "copy_paste_prob",
    "validation": "num_val_images",
    "workers": "num_workers",
    "save_seconds": "checkpoint_interval_s",
    "warmup": "warmup_steps",
    "decay": "lr_schedule",
}
# Columns of log.csv and epochs.csv.
LOG = {
    "data_share": "data_time_fraction",
    "gradient_norm": "grad_norm",
    "total": "loss",
    **{
        f"weight_{task}": f"task_weight_{task}"
        for task in ("parts", "projection", "heatmap", "offset", "limb", "matching", "center", "regression")
    },
}
# Keys of `accuracy` in a manifest, and of an evaluation's JSON.
METRICS = {
    "AP_tall": "AP_h96",
    "AP50_tall": "AP50_h96",
    "on_a_part": "on_any_part",
    "right_part": "on_correct_part",
    "right_side": "on_correct_side",
    "doubled": "duplicates",
    "swapped": "inversions",
    "extra": "false_positives",
    "photos": "images",
    "photo": "image",
    "photos_of_nobody": "negative_images",
    "nobody_found": "true_negative_rate",
    "people_found_there": "negative_false_positives",
}
# Columns and notes of what `humanparse batch` writes: a run that an earlier version began goes on.
BATCH = {"photos": "images"}


def current(value: Any, names: Mapping[str, str]) -> Any:
    """Return `value`, a value of JSON, with the keys of all its dictionaries under today's names."""
    if isinstance(value, dict):
        return {names.get(key, key): current(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(current(item, names) for item in value)
    return value
