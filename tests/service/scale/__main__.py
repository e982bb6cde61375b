"""The long forms of the tests on Ray, with a folder of real images, which are repeated until they are enough.

    python -m tests.service.scale faults IMAGES [--images 2000]     killed workers, a killed driver: the same output
    python -m tests.service.scale memory IMAGES [--images 20000] [--engine ray]    the driver's memory stays flat
    python -m tests.service.scale offline IMAGES [--images 2000] [--turns 3]       parse, batch, batch on Ray, in turns
    python -m tests.service.scale online IMAGE [--seconds 10] [--turns 5]          a server and Ray Serve, in turns

Each prints JSON and ends with 1 if something is not so. Settings are HUMANPARSE_* variables, as ever.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pyarrow.parquet as pq

from service.commands.load import Load, load
from tests.service.memory import FLAT_MIB, SETTLED, resident_mib, slope
from tests.service.scale.clusters import BATCH_WORKER, two_nodes
from tests.service.scale.conftest import manifest, shards

SHARD = 16  # images
STEADY = 0.25  # share of the images after which every worker runs, and has compiled what it needs
Report = tuple[dict[str, Any], bool]


@contextmanager
def archive(folder: Path, images: int) -> Iterator[tuple[Path, Path]]:
    """Yield a folder of so many images, copies of those of `folder`, and a place for output."""
    files = sorted(path.resolve() for path in folder.iterdir() if path.is_file())
    with TemporaryDirectory() as place:
        copied = Path(place, "images")
        copied.mkdir()
        for number, file in enumerate(islice(cycle(files), images)):
            shutil.copyfile(file, copied / f"{number:06}{file.suffix}")  # `parse` takes links to a file once
        yield copied, Path(place)


def start(*arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "service.cli", *map(str, arguments)])


def done(out: Path) -> int:
    return len(list((out / "people").glob("*.parquet")))


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"it ended with status {process.returncode} too early")
        time.sleep(0.05)


def faults(folder: Path, images: int) -> Report:
    """On a cluster of two nodes of one core, kill two workers, and in another run the driver."""
    with archive(folder, images) as (source, place), two_nodes({"HUMANPARSE_THREADS": "1"}, cores=1) as nodes:

        def begin(name: str, engine: str = "ray") -> subprocess.Popen[bytes]:
            return nodes.start("batch", source, "--out", place / name, "--shard-size", SHARD, "--engine", engine)

        all_shards = -(-images // SHARD)
        report: dict[str, Any] = {"images": images, "shards": all_shards}
        assert begin("whole", "local").wait() == 0
        process = begin("workers")
        killed_after = []
        for share in (0.25, 0.5):
            until(lambda share=share: done(place / "workers") >= share * all_shards, process)
            nodes.kill(BATCH_WORKER)
            killed_after.append(done(place / "workers"))
        statuses = [process.wait()]
        process = begin("driver")
        until(lambda: done(place / "driver") >= 0.4 * all_shards, process)
        process.kill()
        process.wait()
        while nodes.workers(BATCH_WORKER):
            time.sleep(0.1)
        report["shards_when_killed"] = {"workers": killed_after, "driver": done(place / "driver")}
        statuses.append(begin("driver").wait())
        right = statuses == [0, 0]
        for name in ("workers", "driver"):
            names = pq.read_table(place / name / "people", columns=["image"]).column(0).unique()
            report[name] = {
                "equal": shards(place / name) == shards(place / "whole"),
                "manifest_equal": manifest(place / name) == manifest(place / "whole"),
                "images": len(names),
            }
            right &= report[name] == {"equal": True, "manifest_equal": True, "images": images}
    return report, right


def memory(folder: Path, images: int, engine: str) -> Report:
    """Sample the resident memory of the process that `batch` is, once a second."""
    sampled, mib = [], []
    with archive(folder, images) as (source, place):
        begun = time.monotonic()
        process = start("batch", source, "--out", place / "out", "--shard-size", SHARD, "--engine", engine)
        while process.poll() is None:
            if number := done(place / "out"):
                sampled.append(number * SHARD)
                mib.append(resident_mib(process.pid))
            time.sleep(1)
        seconds = time.monotonic() - begun
    settled = int(SETTLED * len(sampled))
    value, error = slope([number / 1000 for number in sampled[settled:]], mib[settled:])
    tenths = range(0, len(mib), max(1, len(mib) // 20))
    report = {
        "engine": engine,
        "images": images,
        "seconds": round(seconds),
        "mib_by_images": {sampled[i]: round(mib[i]) for i in tenths},
        "mib_a_1000_images": f"{value:.2f} +- {error:.2f}",
    }
    return report, process.returncode == 0 and mib[-1] - mib[settled] < FLAT_MIB


def offline(folder: Path, images: int, turns: int) -> Report:
    """Images a second of each command, in all its time, and after its start: a quarter of the images."""
    rates: dict[str, list[float]] = defaultdict(list)
    with archive(folder, images) as (source, place):
        for turn in range(turns):
            for name in ("parse", "local", "ray"):
                out = place / f"{name}{turn}"
                batch = ("batch", source, "--out", out, "--shard-size", SHARD, "--engine", name)
                begun = time.monotonic()
                status = start(*batch if name != "parse" else ("parse", source, "--out", out)).wait()
                seconds = time.monotonic() - begun
                if status > (name == "parse"):  # which says 1 where an image is broken
                    raise RuntimeError(f"{name} ended with status {status}")
                files = out.glob("*.json") if name == "parse" else (out / "people").iterdir()
                times = sorted(file.stat().st_mtime for file in files)
                if len(times) != (images if name == "parse" else -(-images // SHARD)):
                    raise RuntimeError(f"{name} wrote {len(times)} files")
                begin = int(STEADY * len(times))
                rates[name].append(images / seconds)
                rates[f"{name} after its start"].append(
                    images * (len(times) - 1 - begin) / len(times) / (times[-1] - times[begin])
                )
    return _compared(rates, "ray after its start", "parse after its start", 0.9)


def online(image: Path, seconds: float, turns: int, clients: int) -> Report:
    """Answers a second of a server and of Ray Serve, which stand side by side and have all cores each."""
    rates: dict[str, list[float]] = {"server": [], "ray": []}
    with serving() as server, serving("--engine", "ray") as ray:
        for turn in range(turns + 1):
            for name, url in (("server", server), ("ray", ray)):
                found = json.loads(load(Load(url, image, clients, None, seconds, None, None, False, None)))
                if turn:  # the first one warms up
                    rates[name].append(found["answers_per_second"])
    return _compared(rates, "ray", "server", 0.85)


def _compared(rates: dict[str, list[float]], one: str, other: str, wanted: float) -> Report:
    """Report the medians, and that of the ratios turn by turn."""
    ratio = statistics.median(a / b for a, b in zip(rates[one], rates[other], strict=True))
    report: dict[str, Any] = {
        name: {"median": round(statistics.median(found), 2), "turns": [round(one, 2) for one in found]}
        for name, found in rates.items()
    }
    return {"images_per_second": report, "ratio": round(ratio, 3), "wanted": wanted}, ratio >= wanted


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """Yield the address of a server once it is ready."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    process = start("serve", "--port", port, *arguments)
    try:
        until(lambda: _ready(port), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _ready(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, images in (("faults", 2000), ("memory", 20_000), ("offline", 2000)):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path, metavar="IMAGES")
        command.add_argument("--images", type=int, default=images)
    commands.choices["memory"].add_argument("--engine", choices=("local", "ray"), default="local")
    commands.choices["offline"].add_argument("--turns", type=int, default=3)
    command = commands.add_parser("online")
    command.add_argument("image", type=Path, metavar="IMAGE")
    command.add_argument("--seconds", type=float, default=10)
    command.add_argument("--turns", type=int, default=5)
    command.add_argument("--clients", type=int, default=4)
    options = vars(parser.parse_args())
    report, right = globals()[options.pop("command")](**options)
    print(json.dumps(report, indent=2))
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
