from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import httpx
import pytest

from service.logs import JsonFormatter, configure_logs


@pytest.fixture
def root() -> Iterator[None]:
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.mark.usefixtures("root")
def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("json")
    log = logging.getLogger("some.where")
    log.info("two\nlines of %s", "text", extra={"fields": {"request_id": "abc", "timings_ms": {"total": 1.5}}})
    try:
        raise ValueError("what\nhappened")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "info", "logger": "some.where", "message": "two\nlines of text", "request_id": "abc",
        "timings_ms": {"total": 1.5},
    }  # fmt: skip
    assert second["level"] == "error"
    assert "ValueError: what\nhappened" in second["exception"]


@pytest.mark.usefixtures("root")
def test_text_is_the_other_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("text")
    logging.getLogger("some.where").info("hello")
    assert capsys.readouterr().err.endswith(" INFO some.where hello\n")


def test_a_request_is_logged_with_its_id_and_what_became_of_it(
    client: httpx.Client, png: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = {"Content-Type": "image/png", "X-Request-ID": "seen-1"}
    response = client.post("/parse", content=png, headers=sent)
    client.post("/parse", content=png[:50], headers=sent)
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records if hasattr(record, "fields")]
    assert [line["request_id"] for line in lines] == ["seen-1", "seen-1"]
    assert (lines[0]["people"], lines[0]["timings_ms"]) == (2, response.json()["timings_ms"])
    assert (lines[1]["status"], lines[1]["problem"]) == (400, "broken-image")
