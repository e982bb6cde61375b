import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.engine.tfjs import read_tfjs

HALF = np.arange(6, dtype=np.float16).reshape(2, 3) / 4
WHOLE = np.array([1.5, -2.25], np.float32)


def write(folder: Path, entries: list[dict[str, Any]], data: bytes, weights: str = "group1-shard1of1.bin") -> Path:
    path = folder / "model.json"
    manifest = [{"paths": ["group1-shard1of1.bin"], "weights": entries}]
    path.write_text(json.dumps({"modelTopology": {}, "weightsManifest": manifest}), encoding="utf-8")
    (folder / weights).write_bytes(data)
    return path


ENTRIES: list[dict[str, Any]] = [
    {
        "name": "a",
        "shape": [2, 3],
        "dtype": "float32",
        "quantization": {"dtype": "float16", "original_dtype": "float32"},
    },
    {"name": "size", "shape": [], "dtype": "int32"},
    {"name": "b", "shape": [2], "dtype": "float32"},
]
DATA = HALF.tobytes() + np.int32(7).tobytes() + WHOLE.tobytes()


@pytest.mark.parametrize("weights", ["group1-shard1of1.bin", "model.bin"])
def test_floats_come_with_name_shape_and_value(tmp_path: Path, weights: str) -> None:
    found = read_tfjs(write(tmp_path, ENTRIES, DATA, weights))
    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["a"].numpy(), HALF.astype(np.float32))
    np.testing.assert_array_equal(found["b"].numpy(), WHOLE)


@pytest.mark.parametrize(
    ("entries", "data", "message"),
    [
        (ENTRIES, DATA[:-1], "buffer"),
        (
            [
                {
                    "name": "q",
                    "shape": [1],
                    "dtype": "float32",
                    "quantization": {"dtype": "uint8", "scale": 0.1, "min": 0},
                }
            ],
            b"x",
            "q is quantized to uint8; use the float16 or float32 weights",
        ),
    ],
)
def test_unusable_weights_are_refused(tmp_path: Path, entries: list[dict[str, Any]], data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"model\.json: .*{message}"):
        read_tfjs(write(tmp_path, entries, data))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model\.json"):
        read_tfjs(tmp_path / "model.json")
    path = write(tmp_path, ENTRIES, DATA)
    (tmp_path / "group1-shard1of1.bin").unlink()
    with pytest.raises(ValueError, match=r"model\.bin"):
        read_tfjs(path)
