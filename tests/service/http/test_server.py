"""`humanparse serve` as a process: signals and exit status."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from service.cli import main
from service.settings import DEFAULT_BUNDLE
from tests.service.conftest import wait_for

pytestmark = pytest.mark.usefixtures("environment")


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--port", str(port)],
        env=os.environ | {"HUMANPARSE_DRAIN_SECONDS": str(request.param)},
    )
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def is_ready(url: str) -> bool:
    return responds(url, "/readyz", 200)


def responds(url: str, path: str, status: int) -> bool:
    try:
        return httpx.get(f"{url}{path}").status_code == status
    except httpx.ConnectError:
        return False


@pytest.mark.parametrize("server", [1], indirect=True)
def test_serve_drains_on_sigterm_and_exits_0(server: tuple[subprocess.Popen[bytes], str], png: bytes) -> None:
    process, url = server
    wait_for(lambda: is_ready(url))
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503)
    answer = httpx.post(f"{url}/parse", content=png, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert process.wait(60) == 0
    assert time.monotonic() - begun >= 0.9


@pytest.mark.parametrize("server", [60], indirect=True)
def test_a_second_signal_ends_at_once(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, url = server
    wait_for(lambda: is_ready(url))
    process.send_signal(signal.SIGINT)
    wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(50) == 0
    assert time.monotonic() - begun < 50


def test_an_address_that_is_taken_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port)]) == 2
    assert main(["serve", "--host", "192.0.2.1"]) == 2  # an address of documentation, nobody's
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanparse: ")]
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use: choose another --port" in errors[0]
    assert "cannot listen on 192.0.2.1" in errors[1]


@pytest.fixture
def slow_bundle(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that still loads when the server answers for the first time."""
    monkeypatch.setenv("HUMANPARSE_BUNDLE", str(DEFAULT_BUNDLE))


@pytest.mark.parametrize("server", [60], indirect=True)
def test_a_signal_while_the_model_is_loading_ends_at_once(
    slow_bundle: None, server: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, url = server
    wait_for(lambda: responds(url, "/readyz", 503))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
