"""The long forms of the reliability tests, against a server process of their own.

    python -m tests.service.reliability hostile [--rounds 20]     each wrong request again and again: memory stays flat
    python -m tests.service.reliability mixed [--requests 20000]  right, wrong and broken-off ones: memory stays flat
    python -m tests.service.reliability overload [--minutes 10]   twice what it can do: in time, and memory stays flat
    python -m tests.service.reliability sigterm [--clients 16] [--engine ray]  under load: nothing accepted is lost
    python -m tests.service.reliability restart                   SIGKILL, then the seconds until it is ready again

Each prints JSON and ends with 1 if something is not so. Settings are HUMANPARSE_* variables, as ever.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from tqdm import tqdm

from service.commands.bench import image_1080p
from service.commands.load import Load, load
from tests.service.memory import FLAT_MIB, SETTLED, resident_mib, slope
from tests.service.reliability.hostile import hostile_requests

SAMPLE = Path("bundles/default/sample.jpg")


class Server:
    """`humanparse serve` as a process, with a port of its own."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "service.cli", "serve", "--port", str(port), *arguments]
        self.process = subprocess.Popen(command, env=os.environ | environment, stderr=subprocess.DEVNULL)

    def wait(self) -> float:
        """Wait until it is ready; return the seconds. Raises RuntimeError if it ends."""
        begun = time.monotonic()
        while self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz").status_code == 200:
                    return time.monotonic() - begun
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise RuntimeError("the server ended before it was ready")

    def mib(self) -> float:
        """Its resident memory."""
        return resident_mib(self.process.pid)


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[Server]:
    server = Server(*arguments, **environment)
    try:
        server.wait()
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def hostile(rounds: int) -> tuple[dict[str, object], bool]:
    """Send every wrong request `rounds` times."""
    statuses: Counter[int] = Counter()
    memory, wrong = [], set()
    with serving() as server, httpx.Client(base_url=server.url, timeout=60) as client:
        for _ in range(rounds):
            for name, body, headers, query in hostile_requests():
                status = client.post(f"/parse?{query}", content=body, headers=headers).status_code
                statuses[status] += 1
                if not 400 <= status < 500:
                    wrong.add(name)
            memory.append(round(server.mib(), 1))
    grown = memory[-1] - memory[int(SETTLED * rounds)]
    report = {"requests": statuses.total(), "statuses": dict(sorted(statuses.items())), "not_4xx": sorted(wrong)}
    return {**report, "mib_after_each_round": memory}, not wrong and grown < FLAT_MIB


def mixed(requests: int) -> tuple[dict[str, object], bool]:
    """Send right requests of every kind, wrong ones, and some whose client hangs up."""
    choose, wrong = random.Random(0), list(hostile_requests())
    image = image_1080p(SAMPLE)
    kinds = [("", "application/json"), ("masks=polygon", "application/json"), ("layer=parts", "image/png")]
    kinds += [("layer=panoptic", "image/png"), ("layer=overlay", "image/jpeg"), ("masks=none", "application/json")]
    statuses: Counter[int] = Counter()
    sampled, memory = [], []
    with serving() as server, httpx.Client(base_url=server.url, timeout=120) as client:
        for number in tqdm(range(requests), unit="request"):
            dice = choose.random()
            if dice < 0.05:
                _hang_up(server.url, image)
                statuses[0] += 1
            elif dice < 0.5:
                _, body, headers, query = choose.choice(wrong)
                statuses[client.post(f"/parse?{query}", content=body, headers=headers).status_code] += 1
            else:
                query, accept = choose.choice(kinds)
                headers = {"Content-Type": "image/jpeg", "Accept": accept}
                statuses[client.post(f"/parse?{query}", content=image, headers=headers).status_code] += 1
            if number % max(1, requests // 200) == 0:
                sampled.append(number)
                memory.append(server.mib())
    settled = int(SETTLED * len(sampled))
    x, y = [number / 1000 for number in sampled[settled:]], memory[settled:]
    value, error = slope(x, y)
    report = {"requests": requests, "statuses": dict(sorted(statuses.items())), "mib": [round(m) for m in memory[::20]]}
    report["mib_a_1000_requests"] = f"{value:.2f} +- {error:.2f}"
    return report, not any(status >= 500 for status in statuses) and y[-1] - y[0] < FLAT_MIB


def _hang_up(url: str, image: bytes) -> None:
    parts = httpx.URL(url)
    with socket.create_connection((parts.host, parts.port)) as sock:
        sock.sendall(b"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n")
        sock.sendall(b"Content-Length: %d\r\n\r\n" % len(image) + image)
        time.sleep(0.01)


def overload(minutes: int, deadline_ms: int) -> tuple[dict[str, object], bool]:
    """Send twice what the server can do, which is measured anew each minute: the machine may have other work."""
    shares, memory = [], []
    statuses: Counter[str] = Counter()
    with serving() as server:

        def answers(seconds: float, rate: float | None) -> dict[str, Any]:
            asked = Load(server.url, SAMPLE, 4, rate, seconds, None if rate is None else deadline_ms, None, False, None)
            return json.loads(load(asked))

        for _ in tqdm(range(minutes), unit="minute"):
            capacity = answers(10, None)["answers_per_second"]
            measured = answers(50, 2 * capacity)
            shares.append(round(measured["in_time_per_second"] / capacity, 2))
            statuses.update(measured["statuses"])
            memory.append(round(server.mib()))
    late = statuses["504"] / max(1, statuses["504"] + statuses["200"])
    report = {"deadline_ms": deadline_ms, "statuses": dict(sorted(statuses.items())), "late_share_of_accepted": late}
    grown = memory[-1] - memory[int(SETTLED * minutes)]
    failed = [status for status in statuses if status not in ("200", "429", "504")]
    right = not failed and late < 0.01 and grown < FLAT_MIB and float(np.median(shares)) >= 0.9
    return {**report, "in_time_share_of_capacity": shares, "mib_after_each_minute": memory}, right


def sigterm(clients: int, engine: str) -> tuple[dict[str, object], bool]:
    """End a server that `clients` keep busy. They stop when it takes no more connections."""
    image = image_1080p(SAMPLE)
    outcomes: Counter[str] = Counter()
    with serving("--engine", engine, HUMANPARSE_DRAIN_SECONDS="1") as server:

        def client() -> None:
            with httpx.Client(base_url=server.url, timeout=60) as http:
                while True:
                    try:
                        response = http.post("/parse", content=image, headers={"Content-Type": "image/jpeg"})
                        outcomes[str(response.status_code)] += 1
                        time.sleep(float(response.headers.get("Retry-After", 0)))
                    except httpx.ConnectError:
                        return  # it listens no more
                    except httpx.TransportError as error:
                        outcomes[f"lost: {error!r}"] += 1
                        return

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        time.sleep(3)
        before, begun = outcomes["200"], time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        status = server.process.wait(120)
        seconds = time.monotonic() - begun
        for thread in threads:
            thread.join()
    report = {"outcomes": dict(outcomes), "answered_after_the_signal": outcomes["200"] - before}
    lost = [name for name in outcomes if name.startswith("lost") or (name.startswith("5") and name != "503")]
    return {**report, "seconds": round(seconds, 1), "exit_status": status}, status == 0 and not lost


def restart() -> tuple[dict[str, object], bool]:
    """Kill a server and start it again, three times."""
    seconds = []
    for _ in range(4):
        server = Server()
        try:
            seconds.append(round(server.wait(), 2))
        finally:
            server.process.kill()
            server.process.wait()
    return {"first_start_s": seconds[0], "restarts_s": seconds[1:]}, max(seconds[1:]) < 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("hostile").add_argument("--rounds", type=int, default=20)
    commands.add_parser("mixed").add_argument("--requests", type=int, default=20_000)
    command = commands.add_parser("overload")
    command.add_argument("--minutes", type=int, default=10)
    command.add_argument("--deadline-ms", type=int, default=300)
    sigterm = commands.add_parser("sigterm")
    sigterm.add_argument("--clients", type=int, default=16)
    sigterm.add_argument("--engine", choices=("local", "ray"), default="local")
    commands.add_parser("restart")
    options = vars(parser.parse_args())
    report, right = globals()[options.pop("command")](**options)
    print(json.dumps(report, indent=2))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
