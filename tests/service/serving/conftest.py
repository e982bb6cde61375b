"""A server whose inferences wait to be let through."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from service.serving.lifecycle import Lifecycle
from service.settings import Settings
from tests.service.conftest import running

PNG = {"Content-Type": "image/png"}


class Gate:
    """A backend that waits to be let through."""

    def __init__(self, backend: object) -> None:
        self.name, self.precision = backend.name, backend.precision
        self._backend = backend
        self.open = threading.Event()
        self.seen = 0

    def infer(self, canvas: object, views: int) -> object:
        self.seen += 1
        assert self.open.wait(20)
        return self._backend.infer(canvas, views)


@pytest.fixture
def gated(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[httpx.Client, Lifecycle, Gate]]:
    monkeypatch.setattr("service.parsing.turned.SURE", 0.0)  # one inference an image
    with running(settings.model_copy(update={"queue_limit": 2, "detail": "fast"})) as (client, lifecycle):
        parser, _ = lifecycle.serving()
        gate = Gate(parser.backend)
        object.__setattr__(parser, "backend", gate)
        try:
            yield client, lifecycle, gate
        finally:
            gate.open.set()


def send(client: httpx.Client, png: bytes, **headers: str) -> httpx.Response:
    return httpx.post(f"{client.base_url}/parse", content=png, headers={**PNG, **headers}, timeout=20)
