"""`humanparse load` against a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.cli import main
from service.settings import Settings
from tests.service.conftest import running

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def report(client: httpx.Client, png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    (tmp_path / "p.png").write_bytes(png)

    def run(*options: str) -> Any:
        assert main(["load", str(client.base_url), "--image", str(tmp_path / "p.png"), *options]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_images_one_after_the_other(report: Any) -> None:
    found = report("--clients", "2", "--seconds", "0.1")
    assert set(found["statuses"]) == {"200"}
    assert found["answered_ms"]["p50"] > 0


def test_refusals_are_counted_apart(report: Any) -> None:
    found = report("--rate", "20", "--seconds", "0.5", "--deadline-ms", "1")
    assert found["statuses"]["429"] >= 5
    assert found["answers_per_second"] == 0
    assert found["refused_ms"]["p50"] > 0


def test_frames_one_after_the_other(report: Any) -> None:
    found = report("--stream", "--clients", "2", "--seconds", "0.1")
    assert found["streams"] == 2
    assert found["frames_per_second"] == found["answers_per_second"] > 0
    assert (found["dropped"], found["refused"]) == (0, 0)


def test_frames_that_come_too_fast_are_dropped(report: Any) -> None:
    found = report("--stream", "--clients", "1", "--seconds", "0.2", "--rate", "500")
    assert found["dropped"] > 0
    assert found["answered_ms"]["p99"] >= found["answered_ms"]["p50"] > 0


def test_a_refused_stream_is_one_line(
    settings: Settings, png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key").write_text("s3cret")
    (tmp_path / "p.png").write_bytes(png)
    with running(settings.model_copy(update={"api_key_file": tmp_path / "key", "detail": "fast"})) as (server, _):
        command = ["load", str(server.base_url), "--image", str(tmp_path / "p.png"), "--stream", "--seconds", "0.1"]
        assert main(command) == 1
        assert "A valid API key is needed" in capsys.readouterr().err
        assert main([*command, "--key-file", str(tmp_path / "key")]) == 0
