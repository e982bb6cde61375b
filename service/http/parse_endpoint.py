"""Handles POST /parse: one image in, its people out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from service.http.negotiation import negotiate
from service.http.parameters import Parameters, check_detail, read_parameters
from service.http.problem_response import MEDIA_TYPE
from service.http.request_body import FIELD, read_body
from service.images.header import ImageError
from service.problems import TITLES, Problem
from service.responses.encoding import Form, encode_response, with_fields
from service.responses.schemas import ParseResponse
from service.serving.lifecycle import Lifecycle
from service.serving.scheduler import Ticket

T = TypeVar("T")
log = logging.getLogger(__name__)
router = APIRouter()

CLIENT_CLOSED = 499  # nginx's code for a client that hung up; nobody reads it but the log

BINARY, BASE64 = {"type": "string", "format": "binary"}, {"type": "string", "format": "byte"}
FIELDS = Parameters.model_json_schema()["properties"]
BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {FIELD: BINARY, **FIELDS}, "required": [FIELD]}
        },
        "image/*": {"schema": BINARY},
        "application/json": {
            "schema": {"type": "object", "properties": {FIELD: BASE64, **FIELDS}, "required": [FIELD]}
        },
    },
}
PROBLEM = {"type": "object", "description": "RFC 9457 problem"}
RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ParseResponse,
        "content": {
            "image/png": {"schema": BINARY},
            "image/jpeg": {"schema": BINARY},
            "image/webp": {"schema": BINARY},
        },
    },
    **{
        status: {"description": title, "content": {MEDIA_TYPE: {"schema": PROBLEM}}}
        for status, title in dict(TITLES.values()).items()
    },
}


@router.post("/parse", responses=RESPONSES, openapi_extra={"requestBody": BODY})
async def parse(request: Request, query: Annotated[Parameters, Query()]) -> Response:
    """Find every person in an image, with body parts, keypoints and masks.

    `Accept` chooses JSON, an exact label map (image/png, `layer` = parts, people or panoptic) or a picture to look at
    (image/jpeg or image/webp, `layer` = overlay). `detail` is a level that /model lists under `details`, such as fast,
    standard, high or finest: finer ones find smaller people and take longer. Parameters may also stand beside the
    image, in the form or the JSON.
    """
    lifecycle: Lifecycle = request.app.state.lifecycle
    _form(request, lifecycle, query)  # refuse before reading the body
    settings, metrics = lifecycle.settings, lifecycle.metrics
    with metrics.inflight.track_inprogress():
        try:
            body = await read_body(request, settings.max_bytes, settings.body_timeout_seconds)
            parameters = read_parameters(request.query_params, body.parameters)
            form = _form(request, lifecycle, parameters)
            work = _respond(lifecycle, body.image, form, parameters.detail, request)
            response = await _unless_disconnected(request, work)
        except ClientDisconnect:
            response = None
    if response is None:
        metrics.cancelled.inc()
        metrics.requests.labels("cancelled").inc()
        return Response(status_code=CLIENT_CLOSED)
    metrics.requests.labels("ok").inc()
    return response


async def _respond(lifecycle: Lifecycle, data: bytes, form: Form, detail: str | None, request: Request) -> Response:
    """Decode, wait, infer, encode; raises Problem."""
    request_id: str = request.state.request_id
    ticket: Ticket = request.state.ticket
    parser, _ = lifecycle.serving()
    ticket.detail = detail = detail or parser.detail
    try:
        prepared = await ticket.run("decode", partial(parser.prepare, data, detail))
        parsed = await ticket.run("infer", partial(parser.infer, prepared))
        body = await ticket.run("encode", partial(encode_response, parser, parsed, data, form, request_id))
    except ImageError as error:
        raise Problem(error.kind, str(error)) from error
    stopwatch = ticket.stopwatch
    timings_ms = stopwatch.stop()
    if form.layer is None:
        body = with_fields(body, {"timings_ms": timings_ms})
    people = int((parsed.output.person_score > 0).sum())
    lifecycle.metrics.observe(timings_ms, people)
    log.info("request_id=%s key=%s people=%d %s", request_id, request.state.key, people, stopwatch.server_timing())
    return Response(body, headers={"Server-Timing": stopwatch.server_timing()}, media_type=form.media_type)


async def _unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of `work`; if the client hangs up first, cancel `work` and return None."""
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _form(request: Request, lifecycle: Lifecycle, parameters: Parameters) -> Form:
    """Return the form of the response. Raises Problem "not-ready", "invalid-parameter" or "not-acceptable"."""
    parser, _ = lifecycle.serving()
    check_detail(parameters.detail, parser)
    return Form(*negotiate(request.headers.get("accept", "*/*"), parameters.layer), parameters.masks)
