"""Handles WS /stream: frames in, the people of the newest one out, with ids that last over the frames."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from functools import partial
from typing import NamedTuple

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.http.authorization import PROTOCOL, check_key, check_origin
from service.http.parameters import Parameters, check_detail, read_parameters
from service.http.problem_response import problem_document
from service.images.header import ImageError
from service.parsing.parser import ImageParser, Parsed
from service.problems import Problem, invalid_parameter
from service.responses.encoding import build_response, with_fields
from service.responses.schemas import TrackedPerson, UntimedStreamResponse
from service.serving.lifecycle import RETRY_SECONDS, Lifecycle
from service.serving.tracking import PeopleTracker

log = logging.getLogger(__name__)
router = APIRouter()

# Close codes by RFC 6455, section 7.4, and its registry.
UNSUPPORTED, BROKEN, POLICY, TOO_LARGE, TRY_AGAIN = 1003, 1007, 1008, 1009, 1013
CODES = {400: BROKEN, 413: TOO_LARGE, 415: UNSUPPORTED, 429: TRY_AGAIN, 503: TRY_AGAIN}  # by status; else POLICY
PASSING = (429, 504)  # a frame refused under load: the stream goes on
LONGEST_PAUSE = 1.0  # seconds after such a frame


class Frame(NamedTuple):
    """An image file of a stream."""

    data: bytes
    number: int  # 1, 2, ...
    arrived: float  # time.perf_counter()'s clock
    dropped: int = 0  # frames before it, since the last one taken


class LatestFrame:
    """Holds the newest frame alone; one that nobody took in time is dropped."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._number = 0
        self._arrived = asyncio.Event()

    def put(self, data: bytes) -> bool:
        """Replace the frame; return whether one was dropped."""
        old = self._frame
        self._number += 1
        self._frame = Frame(data, self._number, time.perf_counter(), 0 if old is None else old.dropped + 1)
        self._arrived.set()
        return old is not None

    async def take(self) -> Frame:
        """Return the newest frame, once there is one that was not taken before."""
        while self._frame is None:
            self._arrived.clear()
            await self._arrived.wait()
        frame, self._frame = self._frame, None
        return frame


@router.websocket("/stream")
async def stream(socket: WebSocket) -> None:
    """Answer frames until the client leaves.

    Whatever is refused is accepted first, because a browser tells its page nothing of a refused handshake: the problem
    is sent as a message, then the connection is closed with a code and the problem's title.
    """
    lifecycle: Lifecycle = socket.app.state.lifecycle
    await socket.accept(PROTOCOL if PROTOCOL in socket.scope["subprotocols"] else None)
    try:
        await _answer_frames(socket, lifecycle)
    except* WebSocketDisconnect:
        pass
    except* Problem as problems:
        (problem, *_) = problems.exceptions
        if isinstance(problem, Problem):
            lifecycle.metrics.refuse(problem)
            await _close(socket, problem)


async def _answer_frames(socket: WebSocket, lifecycle: Lifecycle) -> None:
    """Raises Problem, alone or in a group, and WebSocketDisconnect when the client leaves."""
    check_origin(socket, lifecycle.settings.allowed_origins)
    key = check_key(socket, lifecycle.keys)
    parameters = read_parameters(socket.query_params, {})
    parser, _ = lifecycle.serving()
    for name in ("layer", "format"):
        if getattr(parameters, name) is not None:
            raise invalid_parameter(name, f"a stream answers in JSON of its own: leave {name} out")
    check_detail(parameters.detail, parser)
    if lifecycle.stream_slots.locked():
        limit = lifecycle.settings.stream_limit
        raise Problem("too-many-streams", f"{limit} streams are open, the most here", retry_after=RETRY_SECONDS)
    frames = LatestFrame()
    with lifecycle.metrics.streams.track_inprogress():
        async with lifecycle.stream_slots, asyncio.TaskGroup() as tasks:
            tasks.create_task(_receive(socket, frames, lifecycle))
            tasks.create_task(_answer(socket, frames, lifecycle, parameters, key))


async def _receive(socket: WebSocket, frames: LatestFrame, lifecycle: Lifecycle) -> None:
    """Keep the newest frame. Raises Problem for what is no frame; the server closes by itself for too many bytes."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message["code"], message.get("reason"))
        data = message.get("bytes")
        if not data:
            raise Problem("unsupported-media-type", "the message is no frame: send each as one binary message")
        if frames.put(data):
            lifecycle.metrics.frames_dropped.inc()


async def _answer(
    socket: WebSocket, frames: LatestFrame, lifecycle: Lifecycle, parameters: Parameters, key: str | None
) -> None:
    """Answer the newest frame, again and again. Raises Problem for a faulty one, and if none comes."""
    tracker = PeopleTracker()
    request_id: str = socket.state.request_id
    seconds = lifecycle.settings.body_timeout_seconds
    while True:
        try:
            async with asyncio.timeout(seconds):
                frame = await frames.take()
        except TimeoutError:
            raise Problem("slow-body", f"no frame arrived for {seconds:g} s") from None
        try:
            lifecycle.count(key)
            await socket.send_text(await _parse(frame, lifecycle, parameters, tracker, request_id))
            lifecycle.metrics.requests.labels("ok").inc()
        except Problem as problem:
            if problem.status not in PASSING:
                raise
            lifecycle.metrics.refuse(problem)
            document = problem_document(problem, request_id)
            await socket.send_text(json.dumps({"frame": frame.number, "dropped": frame.dropped, "problem": document}))
            await asyncio.sleep(min(problem.retry_after or 0, LONGEST_PAUSE))


async def _parse(
    frame: Frame, lifecycle: Lifecycle, parameters: Parameters, tracker: PeopleTracker, request_id: str
) -> str:
    """Decode, wait, infer, encode; raises Problem."""
    parser, scheduler = lifecycle.serving()
    detail = parameters.detail or parser.detail
    try:
        with scheduler.admitted(detail) as ticket:
            prepared = await ticket.run("decode", partial(parser.prepare, frame.data, detail))
            parsed = await ticket.run("infer", partial(parser.infer, prepared))
            response = await ticket.run(
                "encode", partial(_tracked, parser, parsed, parameters, frame, tracker, request_id)
            )
    except ImageError as error:
        raise Problem(error.kind, str(error)) from error
    timings_ms = ticket.stopwatch.stop()
    lifecycle.metrics.observe(timings_ms, len(response.people))
    log.debug("request_id=%s frame=%d people=%d", request_id, frame.number, len(response.people))
    return with_fields(response.model_dump_json().encode(), {"timings_ms": timings_ms}).decode()


def _tracked(
    parser: ImageParser, parsed: Parsed, parameters: Parameters, frame: Frame, tracker: PeopleTracker, request_id: str
) -> UntimedStreamResponse:
    response = build_response(parser, parsed.from_score(parameters.min_score), parameters.masks, request_id)
    tracks = tracker.update(response.people, frame.arrived)
    people = [
        TrackedPerson.model_construct(**dict(person), track_id=track)
        for person, track in zip(response.people, tracks, strict=True)
    ]
    fields = {**dict(response), "people": people}
    return UntimedStreamResponse.model_construct(**fields, frame=frame.number, dropped=frame.dropped)


async def _close(socket: WebSocket, problem: Problem) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        await socket.send_json({"problem": problem_document(problem, socket.state.request_id)})
        await socket.close(CODES.get(problem.status, POLICY), problem.title)
