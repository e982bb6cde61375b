"""WS /stream over a real socket."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from service.settings import Settings
from tests.service.conftest import running
from tests.service.streams import closed, moving_figures, streaming


def test_each_frame_is_answered_with_people_whose_tracks_last(client: httpx.Client) -> None:
    left = []
    with streaming(client, "?masks=none") as socket:
        for number, file in enumerate(moving_figures(8), start=1):
            socket.send(file)
            answer = json.loads(socket.recv(20))
            assert (answer["frame"], answer["dropped"]) == (number, 0)
            assert {person["track_id"] for person in answer["people"]} == {1, 2}
            left.append(min(answer["people"], key=lambda person: person["bbox"][0])["track_id"])
    assert len(set(left)) == 1


def test_an_answer_is_that_of_parse_and_a_little_more(client: httpx.Client, png: bytes) -> None:
    parsed = client.post("/parse", content=png, headers={"Content-Type": "image/png"}).json()
    with streaming(client, additional_headers={"X-Request-ID": "camera-1"}) as socket:
        socket.send(png)
        answer = json.loads(socket.recv(20))
    assert answer["request_id"] == "camera-1"
    assert set(answer["timings_ms"]) == set(parsed["timings_ms"])
    for person in answer["people"]:
        del person["track_id"]
    same = ("model", "image", "people", "truncated", "warnings")
    assert {name: answer[name] for name in same} == {name: parsed[name] for name in same}
    assert set(answer) == {*parsed, "frame", "dropped"}


def test_a_frame_lacks_people_below_a_score(client: httpx.Client, png: bytes) -> None:
    with streaming(client, "?min_score=0.85") as socket:
        socket.send(png)
        people = json.loads(socket.recv(20))["people"]
    assert [(person["id"], person["score"]) for person in people] == [(1, 0.9)]


@pytest.mark.parametrize(
    ("message", "kind", "code"),
    [
        (b"no image at all", "unsupported-format", 1003),
        ("text", "unsupported-media-type", 1003),
        (b"\x89PNG\r\n\x1a\n", "broken-image", 1007),
    ],
)
def test_what_is_no_frame_closes_with_a_reason(
    client: httpx.Client, message: bytes | str, kind: str, code: int
) -> None:
    with streaming(client) as socket:
        socket.send(message)
        problem, given, reason = closed(socket)
    assert (problem["type"], given) == (f"urn:humanparse:problem:{kind}", code)
    assert reason == problem["title"]
    assert problem["detail"]


def test_limits_close_with_a_reason(settings: Settings, png: bytes) -> None:
    limits = {"max_bytes": len(png), "max_pixels": 1000, "stream_limit": 1}
    with running(settings.model_copy(update=limits)) as (client, _):
        with streaming(client) as socket:
            socket.send(png)
            problem, code, _ = closed(socket)
            assert (problem["type"], code) == ("urn:humanparse:problem:too-many-pixels", 1009)
        with streaming(client) as socket:
            socket.send(png + b" ")
            with pytest.raises(ConnectionClosed, match=f"1009.*exceeds limit of {len(png)} bytes"):
                socket.recv(20)
    # On a server of its own: the place of a stream that ended is free only a moment later.
    with (
        running(settings.model_copy(update=limits)) as (client, _),
        streaming(client),
        streaming(client) as second,
    ):
        problem, code, _ = closed(second)
        assert (problem["type"], code) == ("urn:humanparse:problem:too-many-streams", 1013)


def test_a_stream_without_frames_is_closed(client: httpx.Client) -> None:
    with streaming(client) as socket:
        problem, code, _ = closed(socket)
    assert (problem["type"], code) == ("urn:humanparse:problem:slow-body", 1008)


@pytest.mark.parametrize("query", ["?masks=all", "?detail=none", "?layer=parts", "?colour=red"])
def test_parameters_are_those_of_parse(client: httpx.Client, query: str) -> None:
    with streaming(client, query) as socket:
        problem, code, _ = closed(socket)
    assert (problem["type"], code) == ("urn:humanparse:problem:invalid-parameter", 1008)
    assert problem["errors"][0]["parameter"] == query[1:].split("=")[0]


def test_a_key_stands_in_the_header_or_in_a_subprotocol(settings: Settings, png: bytes, tmp_path: Path) -> None:
    key = "käse/+?"
    (tmp_path / "key").write_text(key, encoding="utf-8")
    coded = base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")
    with running(settings.model_copy(update={"api_key_file": tmp_path / "key"})) as (client, _):
        for wrong in ({}, {"subprotocols": ["humanparse", "bearer.AAAA"]}, {"subprotocols": ["bearer.*"]}):
            with streaming(client, **wrong) as socket:
                problem, code, _ = closed(socket)
                assert (problem["type"], code) == ("urn:humanparse:problem:unauthorized", 1008)
        with streaming(client, subprotocols=["humanparse", f"bearer.{coded}"]) as socket:
            assert socket.subprotocol == "humanparse"  # never the key
            socket.send(png)
            assert "people" in json.loads(socket.recv(20))


def test_pages_of_other_hosts_may_not_call(settings: Settings, png: bytes) -> None:
    with running(settings.model_copy(update={"cors_origins": "https://ours.example"})) as (client, _):
        own = f"http://{client.base_url.host}:{client.base_url.port}"
        for origin in (own, "https://ours.example"):
            with streaming(client, origin=origin) as socket:
                socket.send(png)
                assert "people" in json.loads(socket.recv(20))
        with streaming(client, origin="https://theirs.example") as socket:
            problem, code, _ = closed(socket)
            assert (problem["type"], code) == ("urn:humanparse:problem:foreign-origin", 1008)


def test_stopping_closes_streams(settings: Settings, png: bytes) -> None:
    with running(settings) as (client, lifecycle), streaming(client) as socket:
        lifecycle.stop()
        socket.send(png)
        problem, code, _ = closed(socket)
        assert (problem["type"], code) == ("urn:humanparse:problem:not-ready", 1013)


def test_masks_of_a_frame_are_those_of_its_people(client: httpx.Client, png: bytes) -> None:
    from pycocotools import mask

    with streaming(client) as socket:
        socket.send(png)
        people = json.loads(socket.recv(20))["people"]
    for person in people:
        rle = person["segmentation"]
        decoded = mask.decode({"size": rle["size"], "counts": rle["counts"].encode()})
        assert np.count_nonzero(decoded) == person["area"]
