from __future__ import annotations

from pathlib import Path

import pytest

from model.manifest import Manifest, read_bundle


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> Manifest:
    return read_bundle(bundle)
