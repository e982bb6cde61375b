"""What is decided before a body is read, and how connections end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.http import protocol
from service.settings import Settings
from tests.service.conftest import running, wait_for

HEAD = b"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"


@contextmanager
def connected(client: httpx.Client) -> Iterator[socket.socket]:
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=20) as sock:
        yield sock


def answer(sock: socket.socket) -> bytes:
    """Head and body of a response with a Content-Length."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += sock.recv(65536) or pytest.fail(f"closed after {received!r}")
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(dict(line.lower().split(b": ") for line in head.split(b"\r\n")[1:])[b"content-length"])
    while len(body) < length:
        body += sock.recv(65536) or pytest.fail("closed")
    return received[: len(head)] + b"\r\n\r\n" + body


def test_a_body_that_is_not_wanted_is_not_asked_for(client: httpx.Client, png: bytes) -> None:
    expect = b"Expect: 100-continue\r\nContent-Length: %d\r\n" % len(png)
    with connected(client) as sock:
        sock.sendall(HEAD + expect + b"X-Deadline-Ms: 0\r\n\r\n")
        assert answer(sock).startswith(b"HTTP/1.1 429 ")
    with connected(client) as sock:
        sock.sendall(HEAD + expect + b"\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(png)
        assert answer(sock).startswith(b"HTTP/1.1 200 ")


def test_a_refused_connection_can_be_used_again(
    client: httpx.Client, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b"Content-Length: %d\r\n" % len(png)
    monkeypatch.setattr(protocol, "MAX_DISCARDED", 2 * len(png))
    with connected(client) as sock:
        for _ in range(5):
            sock.sendall(HEAD + body + b"X-Deadline-Ms: 0\r\n\r\n" + png)
            assert answer(sock).startswith(b"HTTP/1.1 429 ")
        sock.sendall(HEAD + body + b"\r\n" + png)
        assert answer(sock).startswith(b"HTTP/1.1 200 ")


def test_a_refused_client_cannot_send_for_ever(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_DISCARDED", 100_000)
    with connected(client) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000000000000\r\nX-Deadline-Ms: 0\r\n\r\n")
        assert answer(sock).startswith(b"HTTP/1.1 429 ")
        with pytest.raises(ConnectionError):
            sock.sendall(b"x" * 100_000_000)


def test_a_refused_client_that_stops_sending_is_cut_off(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = protocol.Protocol.connection_made

    def connection_made(self: protocol.Protocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        self.timeout_keep_alive = 0.5  # type: ignore[assignment]

    monkeypatch.setattr(protocol.Protocol, "connection_made", connection_made)
    with connected(client) as sock:
        sock.sendall(HEAD + b"Content-Length: 1000\r\nX-Deadline-Ms: 0\r\n\r\n")
        assert answer(sock).startswith(b"HTTP/1.1 429 ")
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"x")
        assert sock.recv(1000) == b""


def test_no_packet_waits_for_another(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    delays, made = [], protocol.Protocol.connection_made

    def connection_made(self: protocol.Protocol, transport: asyncio.Transport) -> None:
        made(self, transport)
        delays.append(transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0)

    monkeypatch.setattr(protocol.Protocol, "connection_made", connection_made)
    assert httpx.get(f"{client.base_url}/livez").status_code == 200
    assert delays == [False]


def test_a_client_that_says_nothing_is_cut_off(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.05)
    with connected(client) as sock:
        sock.sendall(b"POST /par")
        assert sock.recv(1000) == b""


@pytest.mark.parametrize("head", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 70_000])
def test_what_is_no_request_is_a_problem(client: httpx.Client, head: bytes) -> None:
    with connected(client) as sock:
        sock.sendall(head)
        received = answer(sock)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in received
    assert b"urn:humanparse:problem:broken-request" in received


def test_bodies_share_a_bounded_memory(settings: Settings, png: bytes) -> None:
    with running(settings.model_copy(update={"max_buffered_bytes": 1000, "detail": "fast"})) as (client, _):
        with connected(client) as sock:
            sock.sendall(HEAD + b"Content-Length: 900\r\n\r\nx")
            wait_for(lambda: "humanparse_inflight 1.0" in client.get("/metrics").text)
            refused = client.post("/parse", content=png, headers={"Content-Type": "image/png"})
            assert (refused.status_code, refused.json()["type"]) == (429, "urn:humanparse:problem:queue-full")
        wait_for(lambda: "humanparse_inflight 0.0" in client.get("/metrics").text)
        assert client.post("/parse", content=png, headers={"Content-Type": "image/png"}).status_code == 200


def test_keys_are_counted_by_name_and_limited(settings: Settings, png: bytes, tmp_path: Path) -> None:
    (tmp_path / "shop").write_text("s3cret")
    (tmp_path / "lab").write_text("0ther")
    update = {"api_key_file": tmp_path, "rate_limit": 0.2, "detail": "fast"}
    with running(settings.model_copy(update=update)) as (client, _):

        def post(key: str) -> httpx.Response:
            headers = {"Content-Type": "image/png", "Authorization": f"Bearer {key}"}
            return client.post("/parse", content=png, headers=headers)

        assert [post("s3cret").status_code for _ in range(3)] == [200, 200, 429]
        assert post("0ther").status_code == 200
        assert post("wrong").status_code == 401
        limited = post("s3cret")
        assert limited.json()["type"] == "urn:humanparse:problem:rate-limited"
        assert 1 <= int(limited.headers["retry-after"]) <= 5
        metrics = client.get("/metrics").text
        assert 'humanparse_key_requests_total{key="shop"} 2.0' in metrics
        assert 'humanparse_key_requests_total{key="lab"} 1.0' in metrics
        assert 'humanparse_rejected_total{reason="rate-limited"} 2.0' in metrics


@pytest.mark.parametrize("path", ["/livez", "/model", "/nothing"])
def test_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "server" not in headers


def test_a_drain_sends_clients_away_and_finishes_what_it_accepted(settings: Settings, png: bytes) -> None:
    def send() -> list[int]:
        """One client after the other on a connection that is kept, until the server closes it."""
        with httpx.Client(base_url=client.base_url, timeout=20) as own:
            statuses = []
            while True:
                response = own.post("/parse", content=png, headers={"Content-Type": "image/png"})
                statuses.append(response.status_code)
                if response.headers.get("connection") == "close":
                    return statuses

    fast = settings.model_copy(update={"detail": "fast"})
    with running(fast) as (client, lifecycle), ThreadPoolExecutor(3) as pool:
        clients = [pool.submit(send) for _ in range(3)]
        time.sleep(0.1)
        lifecycle.drain()
        answers = [c.result(20) for c in clients]
    assert all(set(statuses) == {200} for statuses in answers)
