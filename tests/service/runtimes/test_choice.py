from __future__ import annotations

import sys
from pathlib import Path

import pytest

from model.manifest import Manifest
from service.runtimes.choice import open_backend
from service.runtimes.types import BackendError
from service.settings import Settings


def test_auto_is_openvino_without_cuda_and_says_so(bundle: Path, manifest: Manifest, settings: Settings) -> None:
    auto = settings.model_copy(update={"backend": "auto"})
    assert open_backend(bundle, manifest, auto).name == "openvino"
    asked = settings.model_copy(update={"backend": "onnxruntime"})
    assert open_backend(bundle, manifest, asked).name == "onnxruntime-cpu"


def test_onnxruntime_that_is_not_installed(
    bundle: Path, manifest: Manifest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model.onnxruntime", None)
    asked = settings.model_copy(update={"backend": "onnxruntime"})
    with pytest.raises(BackendError, match=r"pip install 'humanparse\[gpu\]'"):
        open_backend(bundle, manifest, asked)
    auto = settings.model_copy(update={"backend": "auto"})
    assert open_backend(bundle, manifest, auto).name == "openvino"
