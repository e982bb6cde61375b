"""Puts a running server under load and reports what came back: how many answers, how many of them in time."""

from __future__ import annotations

import asyncio
import itertools
import json
import resource
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from service.commands.bench import image_1080p, percentiles

ANSWER_SECONDS = 60.0  # nobody waits longer
CPU = "process_cpu_seconds_total"


class LoadError(RuntimeError):
    """The server cannot be reached."""


@dataclass(frozen=True)
class Load:
    """A kind of load: `clients` that send one image after the other, or, with `rate`, images at even intervals."""

    url: str
    image: Path
    clients: int
    rate: float | None  # images a second, whatever comes back
    seconds: float
    deadline_ms: int | None
    back_off: float | None  # seconds until a refused client tries again; None: what Retry-After says
    expect: bool  # wait for 100 Continue before the image is sent
    key: str | None


class Answer(NamedTuple):
    """The response to one attempt; status 0 if the connection broke."""

    status: int
    seconds: float
    retry_after: float


@dataclass
class _Connections:
    """Connections that are kept alive. httpx would take 1 ms a request of the very cores that are measured."""

    host: str
    port: int
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def send(self, head: bytes, body: bytes, expect: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body of the response. Raises OSError or EOFError."""
        while self.idle and self.idle[-1][0].at_eof():  # the server ended it: it had been idle for long
            self.idle.pop()[1].close()
        reader, writer = self.idle.pop() if self.idle else await asyncio.open_connection(self.host, self.port)
        keep = False
        try:
            writer.write(head if expect else head + body)
            status, headers = await _response_head(reader)
            sent = not expect
            if status == 100:
                writer.write(body)
                sent = True
                status, headers = await _response_head(reader)
            content = await reader.readexactly(int(headers.get("content-length", 0)))
            await writer.drain()
            keep = sent and headers.get("connection", "").lower() != "close"
            return status, headers, content
        finally:
            if keep:
                self.idle.append((reader, writer))
            else:
                writer.close()


def load(asked: Load) -> str:
    """Return a JSON report. Raises LoadError."""
    try:
        return json.dumps(asyncio.run(_load(asked)), indent=2)
    except OSError as error:
        raise LoadError(f"{asked.url} cannot be reached: {error}") from error


async def _load(asked: Load) -> dict[str, object]:
    image = image_1080p(asked.image)
    url = urlsplit(asked.url)
    connections = _Connections(url.hostname or "127.0.0.1", url.port or 80)
    head = _head(asked, url.netloc, len(image))
    answers: list[Answer] = []

    async def attempt() -> Answer:
        begun = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                status, headers, _ = await connections.send(head, image, asked.expect)
        except (OSError, EOFError):  # TimeoutError is an OSError
            status, headers = 0, {}
        answer = Answer(status, time.perf_counter() - begun, float(headers.get("retry-after", 1)))
        answers.append(answer)
        return answer

    async def client() -> None:
        while time.perf_counter() < end:
            answer = await attempt()
            if answer.status != 200:
                pause = answer.retry_after if asked.back_off is None else asked.back_off
                await asyncio.sleep(min(pause, max(0.0, end - time.perf_counter())))

    server_cpu, own_cpu, begun = await _server_cpu(connections), _own_cpu(), time.perf_counter()
    end = begun + asked.seconds
    async with asyncio.TaskGroup() as tasks:
        if asked.rate is None:
            for _ in range(asked.clients):
                tasks.create_task(client())
        else:
            for number in itertools.count():
                at = begun + number / asked.rate
                if at > end:
                    break
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                tasks.create_task(attempt())
    seconds = time.perf_counter() - begun
    server_cpu, own_cpu = await _server_cpu(connections) - server_cpu, _own_cpu() - own_cpu
    for _, writer in connections.idle:
        writer.close()
        await writer.wait_closed()
    return {
        "clients": asked.clients if asked.rate is None else None,
        "rate": asked.rate,
        "deadline_ms": asked.deadline_ms,
        **_summary(answers, seconds, asked.deadline_ms),
        "cores": {"server": round(server_cpu / seconds, 2), "load": round(own_cpu / seconds, 2)},
    }


def _summary(answers: list[Answer], seconds: float, deadline_ms: int | None) -> dict[str, object]:
    statuses = Counter(answer.status for answer in answers)
    answered = [answer.seconds * 1e3 for answer in answers if answer.status == 200]
    in_time = sum(deadline_ms is None or ms <= deadline_ms for ms in answered)
    refused = [answer.seconds * 1e3 for answer in answers if answer.status in (429, 503)]
    accepted = len(answered) + statuses[504]
    return {
        "attempts_per_second": round(len(answers) / seconds, 1),
        "answers_per_second": round(len(answered) / seconds, 2),
        "in_time_per_second": round(in_time / seconds, 2),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "late_share_of_accepted": round(statuses[504] / accepted, 4) if accepted else None,
        "answered_ms": percentiles(answered) if answered else None,
        "refused_ms": percentiles(refused) if refused else None,
    }


def _head(asked: Load, host: str, length: int) -> bytes:
    lines = ["POST /parse HTTP/1.1", f"Host: {host}", "Content-Type: image/jpeg", f"Content-Length: {length}"]
    if asked.deadline_ms is not None:
        lines.append(f"X-Deadline-Ms: {asked.deadline_ms}")
    if asked.key is not None:
        lines.append(f"Authorization: Bearer {asked.key}")
    if asked.expect:
        lines.append("Expect: 100-continue")
    return "\r\n".join([*lines, "", ""]).encode()


async def _response_head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in headers}


async def _server_cpu(connections: _Connections) -> float:
    """Return the processor time that the server has used, in seconds; 0 if /metrics does not say."""
    head = f"GET /metrics HTTP/1.1\r\nHost: {connections.host}\r\n\r\n".encode()
    _, _, metrics = await connections.send(head, b"")
    return next((float(line.split()[1]) for line in metrics.decode().splitlines() if line.startswith(CPU)), 0.0)


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
