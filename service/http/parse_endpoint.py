"""Handles POST /parse: images in, their people out."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from service.http.image_request import log_fields, unless_disconnected, until_closed
from service.http.negotiation import negotiate
from service.http.openapi import BODY, RESPONSES
from service.http.parameters import Parameters, check_detail, read_parameters
from service.http.problem_response import http_problem_document, log_problem, problem_document
from service.http.request_body import SEVERAL, ImageFile, read_body
from service.parsing.parser import ImageParser, Parsed
from service.problems import Problem
from service.responses.encoding import Form, encode_response, with_fields
from service.serving.lifecycle import Lifecycle
from service.serving.pipeline import answer
from service.serving.scheduler import Ticket
from service.serving.timing import Stopwatch

log = logging.getLogger(__name__)
router = APIRouter()

AT_ONCE = 2  # images of one request in the queue: while one is inferred, the next is decoded

Respond = Callable[[ImageFile, Ticket], Awaitable[Response]]


@router.post("/parse", responses=RESPONSES, openapi_extra={"requestBody": BODY})
async def parse(request: Request, query: Annotated[Parameters, Query()]) -> Response:
    """Find every person in an image, with body parts, keypoints and masks.

    `Accept` chooses JSON, an exact label map (image/png, `layer` = parts, people or panoptic) or a picture to look at
    (image/jpeg or image/webp, `layer` = overlay); `layer` = cutout is the image with everything but people, or one
    `person`, transparent (image/png or image/webp). `format` chooses JSON that other tools import. `detail` is a level
    that /model lists under `details`, such as fast, standard, high or finest: finer ones find smaller people and take
    longer. People whose score is below `min_score` are left out. Parameters may also stand beside the image, in the
    form or the JSON. Fields `images` of a form are answered one by one, each with its response or its problem.
    """
    lifecycle: Lifecycle = request.app.state.lifecycle
    _form(request, lifecycle, query)  # refuse before reading the body
    return await until_closed(lifecycle.metrics, _parse(request, lifecycle))


async def _parse(request: Request, lifecycle: Lifecycle) -> Response:
    settings = lifecycle.settings
    body = await read_body(request, settings.max_bytes, settings.max_images, settings.body_timeout_seconds)
    parameters = read_parameters(request.query_params, body.parameters)
    form = _form(request, lifecycle, parameters)
    respond = partial(_respond, request, lifecycle, form, parameters)
    if not body.several:
        return await unless_disconnected(request, respond(body.images[0], request.state.ticket))
    if form.layer is not None:
        raise Problem("not-acceptable", f"{SEVERAL!r} are answered as application/json: send one image for a picture")
    return await unless_disconnected(request, _respond_to_each(request, lifecycle, respond, body.images))


async def _respond(
    request: Request, lifecycle: Lifecycle, form: Form, parameters: Parameters, image: ImageFile, ticket: Ticket
) -> Response:
    """Respond to one image; raises Problem."""

    def encode(parser: ImageParser, parsed: Parsed) -> bytes:
        people = parsed.from_score(parameters.min_score)
        return encode_response(parser, people, image.data, form, request.state.request_id, image.name)

    found = await answer(lifecycle, ticket, image.data, parameters.detail, encode, log_fields(request))
    body = found.body
    if form.layer is None and form.format is None:
        body = with_fields(body, {"timings_ms": found.timings_ms})
    return Response(body, headers={"Server-Timing": found.server_timing}, media_type=form.media_type)


async def _respond_to_each(
    request: Request, lifecycle: Lifecycle, respond: Respond, images: list[ImageFile]
) -> Response:
    """Respond to images in their order: what is wrong with one is said in its place."""
    request_id: str = request.state.request_id
    stopwatch, turn = Stopwatch(), asyncio.Semaphore(AT_ONCE)

    async def one(index: int, image: ImageFile) -> bytes:
        result: dict[str, Any] = {"index": index, "file_name": image.name, "status": 200}
        try:
            async with turn:
                with _ticket(request, lifecycle, index) as ticket:
                    response = await respond(image, ticket)
            return _with_json(result, "response", bytes(response.body))
        except Problem as problem:
            lifecycle.metrics.refuse(problem)
            log_problem(problem, request_id)
            document = problem_document(problem, request_id)
            return json.dumps({**result, "status": problem.status, "problem": document}).encode()
        except Exception:
            log.exception("request_id=%s image %d failed", request_id, index)
            lifecycle.metrics.requests.labels("server_error").inc()
            fault = http_problem_document(500, "Internal Server Error", request_id)
            return json.dumps({**result, "status": 500, "problem": fault}).encode()

    results = await asyncio.gather(*(one(index, image) for index, image in enumerate(images)))
    body = _with_json({"request_id": request_id}, "results", b"[" + b",".join(results) + b"]")
    stopwatch.stop()
    return Response(body, headers={"Server-Timing": stopwatch.server_timing()}, media_type="application/json")


@contextmanager
def _ticket(request: Request, lifecycle: Lifecycle, index: int) -> Iterator[Ticket]:
    """Hold the place of one of several images: the first has the request's. Raises Problem like admission."""
    if index == 0:
        ticket: Ticket = request.state.ticket
        try:
            yield ticket
        finally:
            ticket.close()  # the others go on
        return
    parser, scheduler = lifecycle.serving()
    with scheduler.admitted(parser.detail, request.state.deadline) as ticket:
        lifecycle.count(request.state.key)
        yield ticket


def _form(request: Request, lifecycle: Lifecycle, parameters: Parameters) -> Form:
    """Return the form of the response. Raises Problem "not-ready", "invalid-parameter" or "not-acceptable"."""
    parser, _ = lifecycle.serving()
    check_detail(parameters.detail, parser)
    accept = request.headers.get("accept", "*/*")
    media_type, layer = negotiate(accept, parameters.layer, parameters.format)
    return Form(media_type, layer, parameters.masks, parameters.format, parameters.person)


def _with_json(members: dict[str, Any], name: str, value: bytes) -> bytes:
    """Return a JSON object of some members and one whose value is JSON already."""
    return json.dumps(members)[:-1].encode() + f', "{name}": '.encode() + value + b"}"
