"""Read weights of a TensorFlow.js graph: a JSON file that describes them, and a binary file beside it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model.errors import InputError


def read_tfjs(path: Path) -> dict[str, Tensor]:
    """Read the float variables of a graph model by name, as float32, with axes in TensorFlow's order.

    Args:
        path: `model.json`. Its weight files lie in the same folder under the names it gives, or in one file with
            the JSON's own name and the suffix .bin, as some packages rename them.

    Raises:
        InputError: the file is no such description, or the weights are missing, truncated or in an unknown encoding.
    """
    try:
        groups = json.loads(path.read_text(encoding="utf-8"))["weightsManifest"]
        found = {}
        for group in groups:
            data, start = _read(path, group["paths"]), 0
            for entry in group["weights"]:
                stored = np.dtype(entry.get("quantization", {}).get("dtype", entry["dtype"]))
                if "scale" in entry.get("quantization", {}):
                    raise ValueError(f"{entry['name']} is quantized to {stored}; use the float16 or float32 weights")
                count = math.prod(entry["shape"])
                values = np.frombuffer(data, stored, count, start)
                start += values.nbytes
                if entry["dtype"] == "float32":
                    found[entry["name"]] = torch.from_numpy(values.astype(np.float32).reshape(entry["shape"]))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"cannot read the weights of TensorFlow.js graph {path}: {error}") from error
    return found


def _read(path: Path, names: list[str]) -> bytes:
    """Return the bytes of a group of weights."""
    files = [path.parent / name for name in names]
    if not all(file.exists() for file in files):
        files = [path.with_suffix(".bin")]
    return b"".join(file.read_bytes() for file in files)
