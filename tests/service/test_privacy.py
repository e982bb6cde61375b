"""The program connects to nobody and leaves nothing in the home folder, from import to exit."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.service.conftest import wait_for

# Runs the command line with every connection and every look-up of a name written to a file.
WATCHED = """
import sys
log = open(sys.argv.pop(1), "a", buffering=1)
def watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        log.write(f"{event} {arguments[1:] if event == 'socket.connect' else arguments}\\n")
sys.addaudithook(watch)
from service.cli import main
sys.exit(main())
"""


class Watched:
    """Commands with a home folder of their own, and without what would switch reports off."""

    def __init__(self, folder: Path, bundle: Path, backend: str) -> None:
        self.home, self.log = folder / "home", folder / "connections"
        self.home.mkdir()
        self.log.touch()
        self.environment = {k: v for k, v in os.environ.items() if k not in ("CI", "TF_BUILD", "JENKINS_URL")} | {
            "HOME": str(self.home),
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "HUMANPARSE_BUNDLE": str(bundle),
            "HUMANPARSE_BACKEND": backend,
            "HUMANPARSE_DETAIL": "fast",
            "HUMANPARSE_DRAIN_SECONDS": "0",
        }

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WATCHED, str(self.log), *arguments], env=self.environment)

    def check(self) -> None:
        assert self.log.read_text() == ""
        assert list(self.home.iterdir()) == []


@pytest.fixture(params=["openvino", "onnxruntime"])
def watched(tmp_path: Path, bundle: Path, request: pytest.FixtureRequest) -> Watched:
    return Watched(tmp_path, bundle, request.param)


def test_the_watch_sees_connections(tmp_path: Path, bundle: Path) -> None:
    watched = Watched(tmp_path, bundle, "openvino")
    code = WATCHED.replace(
        "from service.cli", "import socket; socket.socket().connect_ex(('127.0.0.1', 9))\nfrom service.cli"
    )
    command = [sys.executable, "-c", code, str(watched.log), "serve", "--bundle", "/nowhere"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 1
    assert "127.0.0.1" in watched.log.read_text()


def test_parse_connects_to_nobody(watched: Watched, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    assert watched.start("parse", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")).wait(120) == 0
    watched.check()


@pytest.mark.skipif(shutil.which("strace") is None, reason="native code is watched with strace")
def test_native_code_connects_to_nobody(watched: Watched, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(trace), sys.executable, "-m", "service.cli"]
    arguments = ["parse", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    done = subprocess.run([*command, *arguments], env=watched.environment, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")
    assert done.returncode == 0
    assert [line for line in trace.read_text().splitlines() if "AF_INET" in line] == []
    watched.check()


def test_serve_connects_to_nobody(watched: Watched, png: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = watched.start("serve", "--port", str(port))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:

            def ready() -> bool:
                try:
                    return client.get("/readyz").status_code == 200
                except httpx.ConnectError:
                    return False

            wait_for(ready)
            assert client.post("/parse", content=png, headers={"Content-Type": "image/png"}).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
    watched.check()
