"""One figure bundle and one app for all tests of the service."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image

from service.http.app import create_app
from service.http.server import server_config
from service.serving.lifecycle import Lifecycle
from service.settings import Settings, load_settings
from tests.bundles import figure_bundle, figure_image

SIZE = (120, 240)  # height, width; lies in the canvas 256 x 384 at scale 1.6, below a bar of 32 rows
TWO_PEOPLE = (
    (1, 1, (10, 20, 60, 50)),
    (1, 5, (10, 50, 60, 100)),
    (2, 3, (150, 10, 200, 110)),
)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return figure_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture(scope="session")
def settings(bundle: Path) -> Settings:
    runtime = {"backend": "openvino", "precision": "f32"}  # whatever this machine could do besides
    return load_settings({}, bundle=bundle, **runtime, detail="high", queue_limit=4, body_timeout_seconds=0.3)


@pytest.fixture(scope="session")
def client(settings: Settings) -> Iterator[httpx.Client]:
    with running(settings) as (client, _):
        yield client


@pytest.fixture(scope="session")
def rgb() -> np.ndarray:
    return figure_image(SIZE, *TWO_PEOPLE)


@pytest.fixture(scope="session")
def png(rgb: np.ndarray) -> bytes:
    return encode(Image.fromarray(rgb), "PNG")


@pytest.fixture
def environment(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANPARSE_BUNDLE", str(bundle))
    monkeypatch.setenv("HUMANPARSE_BACKEND", "openvino")
    monkeypatch.setenv("HUMANPARSE_DETAIL", "fast")


def encode(image: Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format_, **options)
    return file.getvalue()


@contextmanager
def running(settings: Settings) -> Iterator[tuple[httpx.Client, Lifecycle]]:
    """The app behind a real socket, ready; its lifecycle to look into."""
    lifecycle = Lifecycle(settings)
    server = uvicorn.Server(server_config(create_app(lifecycle), settings))
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=20) as client:
            wait_for(lambda: server.started)
            wait_for(lambda: client.get("/readyz").status_code == 200)
            yield client, lifecycle
    finally:
        server.should_exit = True
        thread.join(20)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)
