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
    "photos_of_nobody": "negative_images",
    "nobody_found": "true_negative_rate",
    "people_found_there": "negative_false_positives",
}
# Columns in the reports of `ablate`.
COLUMNS = {
    "AP tall": "AP h96",
    "AP50 tall": "AP50 h96",
    "joint on a part": "on any part",
    "right part, side": "on correct side",
    "nobody found": "TNR",
}


def current(value: Any, names: Mapping[str, str]) -> Any:
    """Return `value`, a value of JSON, with the keys of all its dictionaries under today's names."""
    if isinstance(value, dict):
        return {names.get(key, key): current(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(current(item, names) for item in value)
    return value
