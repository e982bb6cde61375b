"""Under load: a bounded queue, deadlines, clients that hang up, and a gentle end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.problems import Problem
from service.serving.scheduler import FIRST_GUESS, STAGES, Scheduler, Stage, Ticket
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


class Clock:
    """Time that passes when it is told to; work takes what it says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("service.serving.scheduler.time.perf_counter", lambda: self.now)

    def work(self, seconds: float, result: str = "done") -> Callable[[], str]:
        def work() -> str:
            self.now += seconds
            return result

        return work


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler(queue_limit=3, codec_threads=2, infer_seconds={"fast": 0.1, "high": 0.4})
    yield scheduler
    scheduler.close()


async def finish(ticket: Ticket, clock: Clock, *seconds: float) -> None:
    for stage, took in zip(STAGES, seconds, strict=True):
        assert await ticket.run(stage, clock.work(took)) == "done"


def test_the_estimate_counts_all_stages_and_what_is_before(clock: Clock, scheduler: Scheduler) -> None:
    async def scenario() -> None:
        assert scheduler.expected("fast") == (0, pytest.approx(0.1 + 2 * FIRST_GUESS))
        with scheduler.admitted("fast") as ticket:
            await finish(ticket, clock, 0.03, 0.1, 0.05)
        assert scheduler.expected("fast") == (0, pytest.approx(0.18))
        with scheduler.admitted("high"), scheduler.admitted("fast"):
            assert scheduler.expected("fast")[0] == pytest.approx(0.5, abs=0.01)  # inferences one at a time
            with pytest.raises(Problem, match="response takes about") as info:
                scheduler.check_room("fast", clock.now + 0.5)
            assert (info.value.kind, info.value.retry_after) == ("deadline-unreachable", pytest.approx(0.5, abs=0.01))
            scheduler.check_room("fast", clock.now + 2)
        scheduler.check_room("fast", clock.now + 0.5)

    asyncio.run(scenario())


def test_what_runs_counts_with_its_rest_even_if_its_client_has_gone(clock: Clock, scheduler: Scheduler) -> None:
    async def scenario() -> None:
        entered, leave = threading.Event(), threading.Event()

        def work() -> None:
            entered.set()
            assert leave.wait(20)

        with scheduler.admitted("high") as ticket:
            await ticket.run("decode", clock.work(0))
            task = asyncio.create_task(ticket.run("infer", work))
            while scheduler.running == 0:
                await asyncio.sleep(0.001)
            clock.now += 0.1
            assert scheduler.expected("fast")[0] == pytest.approx(0.3)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert (scheduler.running, scheduler.waiting) == (1, 0)
        leave.set()
        while scheduler.running:
            await asyncio.sleep(0.001)
        assert scheduler.expected("fast")[0] == 0

    asyncio.run(scenario())


@pytest.mark.parametrize("late", STAGES)
def test_no_stage_is_begun_that_would_end_too_late(clock: Clock, scheduler: Scheduler, late: Stage) -> None:
    async def scenario() -> None:
        with scheduler.admitted("fast", clock.now + 0.5) as ticket:
            for stage in STAGES:
                if stage == late:
                    clock.now += 0.5 - 0.005
                    with pytest.raises(Problem) as info:
                        await ticket.run(stage, lambda: pytest.fail("it was begun"))
                    assert info.value.kind == "deadline-passed"
                    return
                await ticket.run(stage, clock.work(0.001))

    asyncio.run(scenario())


def test_the_margin_grows_with_what_is_late_and_shrinks_with_the_rest(scheduler: Scheduler) -> None:
    scheduler.learn_margin(late=True)
    assert (once := scheduler.margin) > 1.05
    for _ in range(100):
        scheduler.learn_margin(late=False)
    assert 1 < scheduler.margin < once
    for _ in range(100):
        scheduler.learn_margin(late=True)
    assert scheduler.margin == 3


def test_a_server_that_was_slow_tries_again(clock: Clock, scheduler: Scheduler) -> None:
    for _ in range(50):
        scheduler.learn("infer", "fast", 5.0)
    with pytest.raises(Problem):
        scheduler.check_room("fast", clock.now + 0.3)
    clock.now += 60
    scheduler.check_room("fast", clock.now + 0.3)


def test_one_huge_image_does_not_shut_out_the_others(clock: Clock, scheduler: Scheduler) -> None:
    scheduler.learn("decode", "fast", 0.01)
    scheduler.learn("decode", "fast", 60.0)
    scheduler.check_room("fast", clock.now + 0.3)


def test_a_slow_upload_loses_its_place(clock: Clock, scheduler: Scheduler) -> None:
    async def scenario() -> None:
        with scheduler.admitted("fast") as slow:
            assert scheduler.waiting == 1
            clock.now += 1
            assert scheduler.waiting == 0
            with scheduler.admitted("fast"), scheduler.admitted("fast"), scheduler.admitted("fast"):
                with pytest.raises(Problem) as info:
                    await slow.run("decode", clock.work(0))
                assert info.value.kind == "queue-full"
            assert await slow.run("decode", clock.work(0)) == "done"
            assert scheduler.waiting == 1

    asyncio.run(scenario())
