"""Needs the extra `scale`: `make test-scale` installs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow", reason="the extra scale is not installed: make test-scale")

import pyarrow.parquet as pq

from service.cli import main


def batch(*arguments: object) -> int:
    return main(["batch", *map(str, arguments)])


def rows(out: Path) -> list[dict[str, Any]]:
    return pq.read_table(out / "people").to_pylist()


def shards(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((out / "people").iterdir())}


def manifest(out: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((out / "manifest.json").read_text())
    return value


@pytest.fixture
def photos(png: bytes, tmp_path: Path) -> Path:
    """Five photos with two people each in a folder, one of them broken."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    for name in ("a.png", "b/c.png", "b/d.PNG", "e.png"):
        (folder / name).write_bytes(png)
    (folder / "broken.jpg").write_bytes(png[:99])
    return folder
