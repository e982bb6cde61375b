"""The checkpoint: the one thing that passes from training to export."""

from __future__ import annotations

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from model import legacy_names
from model.config import DecoderConfig, ModelConfig
from model.errors import InputError
from model.network import Network
from model.parser import HumanParser


class CheckpointError(InputError):
    """A file is not a checkpoint of this program, or belongs to another configuration."""


def save_checkpoint(
    path: Path, weights: dict[str, Tensor], model: ModelConfig, decoder: DecoderConfig, **rest: Any
) -> None:
    """Write atomically: a kill while writing leaves the previous checkpoint whole.

    `weights` are those to evaluate and export (the moving average where there is one); `rest` is what resuming needs.
    """
    value = {
        "weights": weights,
        "model_config": dataclasses.asdict(model),
        "decoder_config": dataclasses.asdict(decoder),
        **rest,
    }
    partial = path.with_suffix(".partial")
    torch.save(value, partial)
    os.replace(partial, path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read the content of a checkpoint, configurations under today's names.

    Raises CheckpointError, naming the file, for anything else.
    """
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot read checkpoint {path}: {error}") from error
    if not isinstance(value, dict) or not {"weights", "model_config", "decoder_config"} <= value.keys():
        raise CheckpointError(f"{path} is no checkpoint of python -m training")
    value["model_config"] = legacy_names.current(value["model_config"], legacy_names.MODEL)
    value["decoder_config"] = legacy_names.current(value["decoder_config"], legacy_names.DECODER)
    if "identity" in value:
        value["identity"] = legacy_names.current(value["identity"], legacy_names.TRAIN)
    return value


def load_parser(path: Path) -> HumanParser:
    """The parser of a checkpoint, in evaluation mode."""
    value = read_checkpoint(path)
    network = Network(ModelConfig(**value["model_config"]))
    network.load_state_dict(value["weights"])
    return HumanParser(network, DecoderConfig(**value["decoder_config"])).eval()
