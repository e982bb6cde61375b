"""Measures how fast a real server answers a 1080p image over HTTP on this machine, and what else would be."""

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
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from model.cpu import cpu_count, cpu_flags, cpu_name
from service.settings import PREFIX, Settings


class BenchError(RuntimeError):
    """The server that is to be measured does not start or does not answer, or what stands beside it does not."""


SIZE = (1920, 1080)  # width, height
QUALITY = 85
WARM_UP = 20  # requests: OpenVINO compiles a decoder for a canvas that comes often
START_SECONDS = 300.0
IN_TIME_MS = 150


@dataclass(frozen=True)
class Bench:
    """What to measure: `requests` one after the other, and as many again at `rate` a second if that is given.

    With `rivals` each request is followed by the same image in ONNX Runtime in float32 and, with a `checkpoint` of
    the same network, in eager torch with a Python decoder.
    """

    image: Path
    requests: int
    rate: float | None = None
    rivals: bool = False
    checkpoint: Path | None = None


def bench(asked: Bench, settings: Settings) -> dict[str, Any]:
    """Return a report for JSON: percentiles in milliseconds, memory, share of the processor's peak, the machine.

    Raises BenchError.
    """
    data = image_1080p(asked.image)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder, local_server(settings) as port:
        ready_seconds = time.perf_counter() - started
        file = Path(folder, "image.jpg")
        file.write_bytes(data)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        model = json.loads(_get(connection, "/model"))
        for _ in range(WARM_UP):
            response = _parse(connection, data)[1]
        answers, beside = _interleaved(connection, file, asked, settings, model["detail"])
        memory = _resident_bytes(connection)
        connection.close()
        open_loop = _open_loop(asked, port) if asked.rate else None
    stages = {s: [a["timings_ms"][s] for _, a in answers] for s in answers[0][1]["timings_ms"]}
    parse = [d + i for d, i in zip(stages["decode"], stages["infer"], strict=True)]  # JPEG to people on the canvas
    total = [seconds * 1e3 for seconds, _ in answers]
    return {
        "round_trip_ms": percentiles(total),
        "stages_ms": {stage: percentiles(values) for stage, values in stages.items()},
        "in_time_share": round(statistics.mean(ms <= IN_TIME_MS for ms in total), 4),
        "in_time_per_second": round(1e3 * sum(ms <= IN_TIME_MS for ms in total) / sum(total), 2),
        "open_loop": open_loop,
        "rivals": {name: _against(times, parse) for name, times in beside.items()},
        "resident_mb": round(memory / 1e6),
        "ready_seconds": round(ready_seconds, 1),
        "compute": _compute(settings, response["model"], statistics.median(stages["infer"])),
        "requests": asked.requests,
        "people": len(response["people"]),
        "image": {"width": SIZE[0], "height": SIZE[1], "bytes": len(data)},
        "model": response["model"],
        "backend_reason": model["backend_reason"],
        "machine": {
            "cpu": cpu_name(),
            "cores": cpu_count(),
            "flags": [f for f in ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16") if f in cpu_flags()],
        },
    }


def percentiles(values: list[float]) -> dict[str, float]:
    """Return p50, p95 and p99 by the nearest rank: each is a time that occurred."""
    ordered = sorted(values)
    return {f"p{p}": round(ordered[-(-p * len(ordered) // 100) - 1], 2) for p in (50, 95, 99)}


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
    given = settings.model_dump(exclude={"api_key_file"}, exclude_none=True) | {
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


def _interleaved(
    connection: http.client.HTTPConnection, file: Path, asked: Bench, settings: Settings, detail: str
) -> tuple[list[tuple[float, dict[str, Any]]], dict[str, list[float]]]:
    """Return the server's responses with their seconds, and what each rival took right after each, in milliseconds."""
    from service.commands.bench_rivals import rivals_of

    data = file.read_bytes()
    answers: list[tuple[float, dict[str, Any]]] = []
    with rivals_of(settings, detail, asked.checkpoint, enabled=asked.rivals) as rivals:
        beside: dict[str, list[float]] = {name: [] for name in rivals}
        for rival in rivals.values():
            rival(file)  # a first run compiles and allocates
        for _ in range(asked.requests):
            answers.append(_parse(connection, data))
            for name, rival in rivals.items():
                beside[name].append(rival(file))
    return answers, beside


def _against(times: list[float], own: list[float]) -> dict[str, Any]:
    """Return a rival's times, JPEG to people on the canvas, and how many times the server's decoding and inference."""
    return {
        "ms": percentiles(times),
        "times_slower": round(statistics.median(t / o for t, o in zip(times, own, strict=True)), 2),
    }


def _open_loop(asked: Bench, port: int) -> dict[str, Any]:
    from service.commands.load import Load, load

    assert asked.rate
    report: dict[str, Any] = json.loads(
        load(
            Load(
                url=f"http://127.0.0.1:{port}",
                image=asked.image,
                clients=0,
                rate=asked.rate,
                seconds=asked.requests / asked.rate,
                deadline_ms=IN_TIME_MS,
                back_off=None,
                expect=False,
                key=None,
            )
        )
    )
    return report


def _compute(settings: Settings, model: dict[str, Any], infer_ms: float) -> dict[str, float] | None:
    """Return what an inference computes, and its share of what the processor can; None on a GPU, and for integers."""
    from service.commands.bench_peak import network_gigaflop, peak_gigaflops

    if model["backend"] not in ("openvino", "onnxruntime") or model["precision"] == "int8":
        return None
    work = network_gigaflop(settings.bundle, model["detail"], SIZE[::-1])
    peak = peak_gigaflops(model["precision"])
    return {
        "gigaflop": round(work, 2),
        "peak_gigaflops": round(peak),
        "share_of_peak": round(work / (infer_ms / 1e3) / peak, 3),
    }


def _resident_bytes(connection: http.client.HTTPConnection) -> float:
    series = (line.partition(" ") for line in _get(connection, "/metrics").decode().splitlines())
    return next((float(value) for name, _, value in series if name == "process_resident_memory_bytes"), 0.0)


def _get(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path)
    return connection.getresponse().read()


def _parse(connection: http.client.HTTPConnection, data: bytes) -> tuple[float, dict[str, Any]]:
    connection.close()
    connection.connect()  # a server does not keep one while a slow rival runs
    start = time.perf_counter()
    connection.request("POST", "/parse", data, {"Content-Type": "image/jpeg", "Accept": "application/json"})
    response = connection.getresponse()
    body = response.read()
    seconds = time.perf_counter() - start
    if response.status != 200:
        raise BenchError(f"the server answered {response.status}: {body.decode(errors='replace')}")
    return seconds, json.loads(body)
