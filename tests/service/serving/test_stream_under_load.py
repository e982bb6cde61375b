"""WS /stream where frames come faster than answers."""

from __future__ import annotations

import json

import pytest

from tests.service.conftest import wait_for
from tests.service.streams import moving_figures, streaming


def test_the_latest_frame_wins_and_the_others_are_counted(gated: tuple) -> None:
    client, _, gate = gated
    files = moving_figures(6)
    with streaming(client) as socket:
        socket.send(files[0])
        wait_for(lambda: gate.seen == 1)
        for file in files[1:]:
            socket.send(file)
        wait_for(lambda: "humanparse_stream_frames_dropped_total 4.0" in client.get("/metrics").text)
        gate.open.set()
        answers = [json.loads(socket.recv(20)) for _ in range(2)]
        assert [(answer["frame"], answer["dropped"]) for answer in answers] == [(1, 0), (6, 4)]
        assert "humanparse_streams 1.0" in client.get("/metrics").text
    left = min(person["bbox"][0] for person in answers[1]["people"])
    assert left == pytest.approx(10 + 6 * 5, abs=3)  # the sixth frame, not the second
    wait_for(lambda: "humanparse_streams 0.0" in client.get("/metrics").text)


def test_a_full_queue_is_told_and_the_stream_goes_on(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    _, worker = lifecycle.serving()
    with streaming(client) as socket, worker.admitted(None), worker.admitted(None):
        socket.send(png)
        answer = json.loads(socket.recv(20))
        assert (answer["frame"], answer["problem"]["type"]) == (1, "urn:humanparse:problem:queue-full")
    gate.open.set()
    with streaming(client) as socket:
        socket.send(png)
        assert "people" in json.loads(socket.recv(20))


def test_a_client_that_leaves_frees_its_place(gated: tuple, png: bytes) -> None:
    client, lifecycle, gate = gated
    _, worker = lifecycle.serving()
    with streaming(client) as socket:
        socket.send(png)
        wait_for(lambda: gate.seen == 1)
    wait_for(lambda: lifecycle.stream_slots._value == lifecycle.settings.stream_limit)
    gate.open.set()
    wait_for(lambda: (worker.waiting, worker.running) == (0, 0))
