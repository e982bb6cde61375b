"""Reads how far the runtimes of a machine are from a reference, as `humanparse parity` measured it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from model.manifest import GRAPH, PARITY, Manifest


def read_parity(bundle: Path, manifest: Manifest) -> dict[str, Any] | None:
    """What `humanparse parity` measured on this bundle; None if it did not, or on another graph."""
    try:
        report: dict[str, Any] = json.loads((bundle / PARITY).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return report if report.get("graph") == manifest.sha256[GRAPH] else None
