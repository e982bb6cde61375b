from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from service.settings import SettingsError, load_settings


def test_environment_is_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANPARSE_PORT", "81")
    monkeypatch.setenv("HUMANPARSE_DETAIL", "fast")
    assert load_settings().port == 81
    assert load_settings(port=82, detail=None).detail == "fast"
    assert load_settings(port=82).port == 82
    assert load_settings({"HUMANPARSE_BUNDLE": "/b", "HOME": "/x"}).bundle == Path("/b")


def test_an_unknown_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANPARSE_QUEUE_LIMITT", "3")
    with pytest.raises(SettingsError, match=r"unknown .*_QUEUE_LIMITT; known: .*HUMANPARSE_QUEUE_LIMIT"):
        load_settings()


def test_a_bad_value_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"HUMANPARSE_QUEUE_LIMIT: .*greater than 0"):
        load_settings({"HUMANPARSE_QUEUE_LIMIT": "0"})
    with pytest.raises(SettingsError, match="HUMANPARSE_DETAIL"):
        load_settings({"HUMANPARSE_DETAIL": "closest"})


@pytest.mark.parametrize("value", ["example.org", "https://a.example/path", "https://a.example https://b.example"])
def test_an_origin_has_a_scheme_and_no_path(value: str) -> None:
    with pytest.raises(SettingsError, match=r"HUMANPARSE_CORS_ORIGINS: .*is no origin such as https:"):
        load_settings({"HUMANPARSE_CORS_ORIGINS": value})
    assert load_settings({"HUMANPARSE_CORS_ORIGINS": "*"}).allowed_origins == ["*"]


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        load_settings({}).port = 1


def test_the_default_binds_to_this_machine_alone() -> None:
    assert load_settings({}).host == "127.0.0.1"


def test_a_former_name_is_read_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HUMANPARSE_FINEST_DETAIL", "high")
    assert load_settings().max_detail == "high"
    assert "HUMANPARSE_FINEST_DETAIL is deprecated: set HUMANPARSE_MAX_DETAIL instead" in caplog.text
    with pytest.raises(SettingsError, match="is the former name of HUMANPARSE_MAX_DETAIL, which is set, too"):
        load_settings({"HUMANPARSE_FINEST_DETAIL": "high", "HUMANPARSE_MAX_DETAIL": "high"})
