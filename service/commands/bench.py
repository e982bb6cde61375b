"""Measures how fast a real server answers a 1080p image over HTTP on this machine."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from model.cpu import cpu_count, cpu_flags, cpu_name
from service.settings import PREFIX, Settings


class BenchError(RuntimeError):
    """The server that is to be measured does not start or does not answer."""


SIZE = (1920, 1080)  # width, height
QUALITY = 85
WARM_UP = 3
START_SECONDS = 300.0


def bench(image: Path, requests: int, settings: Settings) -> str:
    """Return a JSON report: percentiles in milliseconds, the model, the image and the machine."""
    data = image_1080p(image)
    with local_server(settings) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        model = json.loads(_get(connection, "/model"))
        for _ in range(WARM_UP):
            _parse(connection, data)
        responses = [_parse(connection, data) for _ in range(requests)]
        connection.close()
    totals = [seconds * 1e3 for seconds, _ in responses]
    stages = {s: [a["timings_ms"][s] for _, a in responses] for s in responses[0][1]["timings_ms"]}
    response = responses[0][1]
    report = {
        "round_trip_ms": percentiles(totals),
        "server_ms": percentiles(stages["total"]),
        "stages_median_ms": {s: round(statistics.median(v), 2) for s, v in stages.items()},
        "requests": requests,
        "people": len(response["people"]),
        "image": {"width": SIZE[0], "height": SIZE[1], "bytes": len(data)},
        "model": response["model"],
        "inference_ms_at_start": model["inference_ms"],
        "machine": {
            "cpu": cpu_name(),
            "cores": cpu_count(),
            "flags": [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in cpu_flags()],
        },
    }
    return json.dumps(report, indent=2)


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p90 and p99 by the nearest rank: each is a time that occurred."""
    ordered = sorted(values)
    return {f"p{p}": round(ordered[-(-p * len(ordered) // 100) - 1], 2) for p in (50, 90, 99)}


def image_1080p(path: Path) -> bytes:
    """Crop and scale the image to 1920 x 1080; return it as a JPEG."""
    with Image.open(path) as image:
        fitted = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), SIZE, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    fitted.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


@contextmanager
def local_server(settings: Settings) -> Iterator[int]:
    """Start a server process with these settings; yield its port once it is ready.

    Raises BenchError if it ends or is not ready in time.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    given = settings.model_dump(exclude={"api_key_file", "rate_limit"}) | {
        "bundle": settings.bundle.resolve(),
        "host": "127.0.0.1",
        "port": port,
        "drain_seconds": 0,
    }
    environment = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    environment |= {PREFIX + name.upper(): str(value) for name, value in given.items()}
    process = subprocess.Popen([sys.executable, "-m", "service.cli", "serve"], env=environment, cwd=_root())
    try:
        _wait_ready(process, port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _wait_ready(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError(f"the server ended with status {process.returncode}; its log is above")
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise BenchError(f"the server was not ready within {START_SECONDS:g} s")


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def _parse(connection: http.client.HTTPConnection, data: bytes) -> tuple[float, dict[str, Any]]:
    start = time.perf_counter()
    connection.request("POST", "/parse", data, {"Content-Type": "image/jpeg", "Accept": "application/json"})
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - start
    if response.status != 200:
        raise BenchError(f"the server answered {response.status}: {body.decode(errors='replace')}")
    return seconds, json.loads(body)
