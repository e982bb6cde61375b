"""Batches for all tests of this folder, which `make test-scale` runs."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from service.cli import main

if find_spec("pyarrow") is None or find_spec("ray") is None:
    collect_ignore_glob = ["test_*.py"]  # make test-scale installs the extra


def batch(*arguments: object) -> int:
    return main(["batch", *map(str, arguments)])


def rows(out: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    return pq.read_table(out / "people").to_pylist()


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "people").iterdir())}


def manifest(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return value


@pytest.fixture
def images(png: bytes, tmp_path: Path) -> Path:
    """Five images with two people each in a folder, one of them broken."""
    folder = tmp_path / "images"
    (folder / "b").mkdir(parents=True)
    for name in ("a.png", "b/c.png", "b/d.PNG", "e.png"):
        (folder / name).write_bytes(png)
    (folder / "broken.jpg").write_bytes(png[:99])
    return folder
