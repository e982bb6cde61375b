"""API keys: files, names, rates."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.problems import Problem
from service.serving import keys
from service.serving.keys import Keys, TokenBucket, read_keys
from service.settings import Settings, SettingsError


def read(settings: Settings, path: Path, **update: object) -> Keys:
    return read_keys(settings.model_copy(update={"api_key_file": path, **update}))


def test_a_folder_has_a_key_a_file(settings: Settings, tmp_path: Path) -> None:
    for name, key in (("shop", "s3cret\n"), ("lab", "schlüssel"), (".hidden", "no")):
        (tmp_path / name).write_text(key)
    (tmp_path / "..data").mkdir()  # as Kubernetes mounts secrets
    found = read(settings, tmp_path)
    assert found.names == ["lab", "shop"]
    assert (found.name_of("s3cret"), found.name_of("schlüssel")) == ("shop", "lab")
    for wrong in ("", "s3cre", "s3cret ", "no", "shop"):
        with pytest.raises(Problem, match="Authorization"):
            found.name_of(wrong)


def test_a_file_is_one_key(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "api_key").write_text("s3cret\n")
    assert read(settings, tmp_path / "api_key").name_of("s3cret") == "api_key"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is empty"),
        ({"a": " \n"}, "a is empty"),
        ({"a": "same", "b": "same\n"}, "two files of .* have the same key"),
    ],
)
def test_what_holds_no_keys_stops_the_start(
    settings: Settings, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    for name, key in files.items():
        (tmp_path / name).write_text(key)
    with pytest.raises(SettingsError, match=message):
        read(settings, tmp_path)


def test_a_limit_without_keys_stops_the_start(settings: Settings) -> None:
    with pytest.raises(SettingsError, match="HUMANPARSE_RATE_LIMIT is a limit for each key"):
        read_keys(settings.model_copy(update={"rate_limit": 1.0}))


def test_without_keys_everybody_may_call() -> None:
    everybody = Keys({})
    assert everybody.name_of("") is None
    everybody.take(None)


def test_each_key_has_a_rate_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [50.0]
    monkeypatch.setattr(keys.time, "monotonic", lambda: now[0])
    limited = Keys({"a": "1", "b": "2"}, rate=0.5)
    for _ in range(5):  # what ten seconds give
        limited.take("a")
    with pytest.raises(Problem) as info:
        limited.take("a")
    assert (info.value.kind, info.value.status, info.value.retry_after) == ("rate-limited", 429, 2)
    limited.take("b")
    now[0] += 2
    limited.take("a")
    with pytest.raises(Problem):
        limited.take("a")


def test_a_bucket_that_is_slower_than_its_burst_has_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys.time, "monotonic", lambda: 1.0)
    bucket = TokenBucket(0.01)
    assert bucket.take() == 0
    assert bucket.take() == pytest.approx(100)
