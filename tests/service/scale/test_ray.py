"""Batches and servers on a cluster of two nodes whose processes are killed."""

from __future__ import annotations

import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.bundles import figure_bundle, figure_image
from tests.service.conftest import TWO_PEOPLE, encode, wait_for
from tests.service.scale.clusters import BATCH_WORKER, REPLICA, TwoNodes, two_nodes
from tests.service.scale.conftest import batch, manifest, rows, shards

IMAGES, SHARD = 160, 4
WAIT = 300  # seconds, on a machine that does much else


@pytest.fixture(scope="module")
def nodes(bundle: Path) -> Iterator[TwoNodes]:
    settings = {"BUNDLE": str(bundle), "BACKEND": "openvino", "PRECISION": "f32", "DETAIL": "fast", "THREADS": "1"}
    with two_nodes({f"HUMANPARSE_{name}": value for name, value in settings.items()}) as nodes:
        yield nodes


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that take a while to decode, and a broken one."""
    folder = tmp_path_factory.mktemp("archive")
    large = encode(Image.fromarray(figure_image((120, 240), *TWO_PEOPLE)).resize((2400, 1200)), "PNG")
    for number in range(IMAGES - 1):
        (folder / f"{number:03}.png").write_bytes(large)
    (folder / "broken.png").write_bytes(large[:99])
    return folder


@pytest.fixture(scope="module")
def whole(archive: Path, nodes: TwoNodes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's people, without Ray and without faults."""
    out = tmp_path_factory.mktemp("whole")
    assert batch(archive, "--out", out, "--shard-size", SHARD) == 0
    return out


def done(out: Path) -> int:
    return len(list((out / "people").glob("*.parquet")))


def times(out: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in (out / "people").glob("*.parquet")}


def begin(nodes: TwoNodes, archive: Path, out: Path) -> object:
    process = nodes.start("batch", archive, "--out", out, "--shard-size", SHARD, "--engine", "ray")
    wait_for(lambda: done(out) >= 3, WAIT)
    return process


def test_a_killed_worker_changes_nothing(nodes: TwoNodes, archive: Path, whole: Path, tmp_path: Path) -> None:
    process = begin(nodes, archive, tmp_path)
    killed = nodes.kill(BATCH_WORKER)
    assert done(tmp_path) < IMAGES // SHARD
    assert process.wait(WAIT) == 0
    assert killed not in nodes.workers(BATCH_WORKER)
    assert shards(tmp_path) == shards(whole)
    assert manifest(tmp_path) == manifest(whole)
    assert len({row["image"] for row in rows(tmp_path)}) == IMAGES


def test_a_killed_driver_goes_on_when_it_is_started_again(
    nodes: TwoNodes, archive: Path, whole: Path, tmp_path: Path
) -> None:
    process = begin(nodes, archive, tmp_path)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    wait_for(lambda: not nodes.workers(BATCH_WORKER), WAIT)  # Ray ends what a dead driver has left
    assert 0 < done(tmp_path) < IMAGES // SHARD
    before = times(tmp_path)
    again = nodes.start("batch", archive, "--out", tmp_path, "--shard-size", SHARD, "--engine", "ray")
    assert again.wait(WAIT) == 0
    assert shards(tmp_path) == shards(whole)
    assert manifest(tmp_path) == manifest(whole)
    assert (
        before.items() <= {name: (tmp_path / "people" / name).stat().st_mtime_ns for name in shards(tmp_path)}.items()
    )


class Load:
    """Clients that send images one after the other until the block ends."""

    def __init__(self, url: str, png: bytes, clients: int) -> None:
        self.responses: list[httpx.Response] = []
        self.faults: list[Exception] = []
        self._url, self._png = url, png
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def statuses(self) -> Counter[int]:
        return Counter(response.status_code for response in self.responses)

    def names(self) -> list[str]:
        return [response.json()["model"]["name"] for response in self.responses if response.status_code == 200]

    def _send(self) -> None:
        with httpx.Client(timeout=WAIT) as client:
            while not self._ended.is_set():
                try:
                    response = client.post(self._url, content=self._png, headers={"Content-Type": "image/png"})
                    self.responses.append(response)
                except Exception as error:
                    self.faults.append(error)


@pytest.fixture(scope="module")
def serve() -> tuple[object, ...]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return "serve", "--engine", "ray", "--port", probe.getsockname()[1], "--min-replicas", 2


@pytest.fixture(scope="module")
def url(nodes: TwoNodes, serve: tuple[object, ...]) -> str:
    assert nodes.start(*serve).wait(WAIT) == 0
    return f"http://127.0.0.1:{serve[4]}"


def replicas(url: str) -> set[str]:
    lines = httpx.get(f"{url}/metrics", timeout=60).text.splitlines()
    return {line.split('replica="')[1].split('"')[0] for line in lines if line.startswith("humanparse_model_ready{")}


def test_a_killed_replica_costs_its_own_requests_alone_and_they_may_come_again(
    nodes: TwoNodes, url: str, png: bytes
) -> None:
    assert httpx.get(f"{url}/readyz", timeout=60).text == "ready"
    assert len(replicas(url)) == 2
    with Load(f"{url}/parse", png, clients=6) as load:
        wait_for(lambda: load.statuses()[200] > 30, WAIT)
        killed = nodes.kill(REPLICA)
        answered = load.statuses()[200]
        wait_for(lambda: load.statuses()[200] > answered + 30, WAIT)
        wait_for(lambda: len(set(nodes.workers(REPLICA)) - {killed}) == 2, WAIT)
        wait_for(lambda: len(replicas(url)) == 2, WAIT)
    assert load.faults == []
    assert set(load.statuses()) <= {200, 503}
    lost = [response for response in load.responses if response.status_code == 503]
    assert len(lost) <= 6  # what was at work in that process: at most one request a client
    assert all(response.headers["retry-after"] for response in lost)
    assert all(response.headers["content-type"] == "application/problem+json" for response in lost)


def test_another_bundle_takes_over_without_an_error(
    nodes: TwoNodes, url: str, serve: tuple[object, ...], png: bytes, tmp_path: Path
) -> None:
    other = figure_bundle(tmp_path / "bundle", name="others")
    with Load(f"{url}/parse", png, clients=3) as load:
        wait_for(lambda: load.statuses()[200] > 10, WAIT)
        assert nodes.start(*serve, "--bundle", other).wait(WAIT) == 0
        wait_for(lambda: load.names()[-9:] == ["others"] * 9, WAIT)
    assert load.names()[0] == "figures"
    assert load.faults == []
    assert set(load.statuses()) == {200}


def test_what_the_queues_cannot_hold_is_refused_as_by_one_server(
    nodes: TwoNodes, url: str, serve: tuple[object, ...], png: bytes
) -> None:
    assert nodes.start(*serve, queue_limit=1).wait(WAIT) == 0
    with Load(f"{url}/parse", png, clients=24) as load:
        wait_for(lambda: load.statuses()[429] > 50 and load.statuses()[200] > 50, WAIT)
    assert load.faults == []
    assert set(load.statuses()) == {200, 429}
    refused = [response for response in load.responses if response.status_code == 429]
    assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
    problems = {r.json()["type"] for r in refused if r.headers["content-type"] == "application/problem+json"}
    assert problems == {"urn:humanparse:problem:queue-full"}
