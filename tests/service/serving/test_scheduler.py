"""Under load: a bounded queue, deadlines, clients that hang up, and a gentle end."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from service.serving.scheduler import Scheduler

from service.problems import Problem
from tests.service.conftest import wait_for
from tests.service.serving.conftest import send

PNG = {"Content-Type": "image/png"}


def test_a_full_queue_refuses_and_the_waiting_are_answered(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    _, worker = lifecycle.serving()
    with ThreadPoolExecutor(3) as pool:
        answers = []
        for waiting in (0, 1, 2):
            answers.append(pool.submit(send, client, png))
            wait_for(lambda n=waiting: (gate.seen, worker.running, worker.waiting) == (1, 1, n))
        refused = send(client, png)
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:humanparse:problem:queue-full"
        assert int(refused.headers["retry-after"]) >= 1
        metrics = client.get("/metrics").text
        assert "humanparse_queue_depth 2.0" in metrics
        assert "humanparse_queue_limit 2.0" in metrics
        assert "humanparse_inflight 3.0" in metrics
        assert 'humanparse_rejected_total{reason="queue-full"} 1.0' in metrics
        gate.open.set()
        assert [a.result().status_code for a in answers] == [200] * 3
    assert (worker.running, worker.waiting) == (0, 0)


def test_a_deadline_that_passes_in_the_queue(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    _, worker = lifecycle.serving()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, client, png)
        wait_for(lambda: worker.running == 1)
        late = send(client, png, **{"X-Deadline-Ms": "300"})
        assert late.status_code == 504
        assert late.json()["type"] == "urn:humanparse:problem:deadline-passed"
        wait_for(lambda: worker.waiting == 0)
        gate.open.set()
        assert first.result().status_code == 200
    assert gate.seen == 1  # the late one never ran
    assert 'humanparse_rejected_total{reason="deadline-passed"} 1.0' in client.get("/metrics").text


def test_a_deadline_that_cannot_be_met_is_refused_at_once(gated: tuple, png: bytes) -> None:
    client, _, gate = gated
    refused = send(client, png, **{"X-Deadline-Ms": "0"})
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:humanparse:problem:deadline-unreachable"
    assert "retry-after" in refused.headers
    assert gate.seen == 0


def test_a_client_that_hangs_up_leaves_the_queue(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    _, worker = lifecycle.serving()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(send, client, png)
        wait_for(lambda: worker.running == 1)
        sock = socket.create_connection((client.base_url.host, client.base_url.port))
        head = f"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(png)}\r\n\r\n"
        sock.sendall(head.encode() + png)
        wait_for(lambda: worker.waiting == 1)
        sock.close()
        wait_for(lambda: worker.waiting == 0)
        gate.open.set()
        assert first.result().status_code == 200
    wait_for(lambda: "humanparse_cancelled_total 1.0" in client.get("/metrics").text)
    assert gate.seen == 1


def test_a_client_that_hangs_up_in_its_body(gated: tuple) -> None:
    client, _, _ = gated
    with socket.create_connection((client.base_url.host, client.base_url.port)) as sock:
        sock.sendall(b"POST /parse HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100\r\n\r\nabc")
    wait_for(lambda: 'humanparse_requests_total{outcome="cancelled"} 1.0' in client.get("/metrics").text)


def test_the_expected_wait_follows_what_inferences_take() -> None:
    async def scenario() -> float:
        worker = InferenceWorker(queue_limit=1, service_seconds=10.0)
        for _ in range(50):
            with worker.admitted(None) as slot:
                result, _, took = await worker.run(slot, lambda: time.sleep(0.001) or "done")
                assert result == "done"
                assert took >= 0.001
        with (
            worker.admitted(None),
            pytest.raises(Problem) as info,
            worker.admitted(None),
        ):
            pass
        worker.close()
        return info.value.retry_after

    assert 0.01 < asyncio.run(scenario()) < 2.0
