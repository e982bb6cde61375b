"""Which runtime is taken, why, and what is said where none can be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.manifest import Manifest
from service.runtimes import choice
from service.runtimes.choice import choose_backend
from service.runtimes.types import Backend, BackendError
from service.settings import Settings


def accept(_: Backend) -> None:
    pass


def test_auto_takes_the_best_that_is_there_and_says_why(
    bundle: Path, manifest: Manifest, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtimes.cuda.has_provider", lambda _: False)
    backend, _, reason = choose_backend(bundle, manifest, settings.model_copy(update={"backend": "auto"}), accept)
    assert (backend.name, backend.precision) == ("openvino", "f32")
    assert "the best that is there; not tensorrt f32: TensorRT is not installed" in reason
    assert "pip install 'humanparse[gpu]'" in reason
    asked = settings.model_copy(update={"backend": "onnxruntime"})
    backend, _, reason = choose_backend(bundle, manifest, asked, accept)
    assert (backend.name, reason) == ("onnxruntime", "HUMANPARSE_BACKEND=onnxruntime")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("cuda", r"pip install 'humanparse\[gpu\]'"),
        ("tensorrt", r"^tensorrt fp16, tensorrt bf16, tensorrt f32: .* pip install 'humanparse\[tensorrt\]'$"),
    ],
)
def test_a_runtime_that_was_asked_for_and_is_not_there(
    bundle: Path, manifest: Manifest, settings: Settings, name: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.runtimes.cuda.has_provider", lambda _: False)
    monkeypatch.setattr("service.runtimes.tensorrt.has_provider", lambda _: False)
    asked = settings.model_copy(update={"backend": name, "precision": "auto"})
    with pytest.raises(BackendError, match=remedy):
        choose_backend(bundle, manifest, asked, accept)


def test_auto_passes_over_what_fails_the_check(bundle: Path, manifest: Manifest, settings: Settings) -> None:
    def only_onnxruntime(backend: Backend) -> None:
        if backend.name != "onnxruntime":
            raise BackendError("another answer")

    auto = settings.model_copy(update={"backend": "auto"})
    backend, _, reason = choose_backend(bundle, manifest, auto, only_onnxruntime)
    assert backend.name == "onnxruntime"
    assert "not openvino f32: another answer" in reason


def test_a_precision_that_the_runtime_does_not_have(bundle: Path, manifest: Manifest, settings: Settings) -> None:
    asked = settings.model_copy(update={"backend": "onnxruntime", "precision": "bf16"})
    with pytest.raises(BackendError, match="PRECISION=bf16 is not for HUMANPARSE_BACKEND=onnxruntime"):
        choose_backend(bundle, manifest, asked, accept)


def test_the_cache_folder_is_made_or_refused(
    bundle: Path, manifest: Manifest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "cache"
    choose_backend(bundle, manifest, settings.model_copy(update={"cache_dir": folder}), accept)
    assert list((folder / "openvino").glob("*.blob"))
    monkeypatch.setattr(choice.os, "access", lambda *_: False)
    with pytest.raises(BackendError, match="cannot be written to: name another or unset it"):
        choice.cache_folder(folder)
    (tmp_path / "file").touch()
    with pytest.raises(BackendError, match="cannot be made"):
        choice.cache_folder(tmp_path / "file" / "cache")


def test_int8_is_taken_where_it_is_named_and_the_bundle_has_it(
    bundle: Path, manifest: Manifest, settings: Settings
) -> None:
    asked = settings.model_copy(update={"backend": "auto", "precision": "int8"})
    with pytest.raises(BackendError, match=r"python -m export int8 .* --images FOLDER"):
        choose_backend(bundle, manifest, asked, accept)
    asked = asked.model_copy(update={"backend": "cuda"})
    with pytest.raises(BackendError, match="PRECISION=int8 is not for HUMANPARSE_BACKEND=cuda"):
        choose_backend(bundle, manifest, asked, accept)
