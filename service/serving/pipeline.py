"""Takes an image file through its stages: decode, infer, encode."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from service.images.header import ImageError
from service.parsing.parser import ImageParser, Parsed
from service.problems import Problem
from service.serving.lifecycle import Lifecycle
from service.serving.scheduler import Ticket

Body = TypeVar("Body")
log = logging.getLogger(__name__)


class Answer(NamedTuple, Generic[Body]):
    """An encoded response, and the times of its stages in ms; the same as the value of a Server-Timing header."""

    body: Body
    timings_ms: dict[str, float]
    server_timing: str


async def answer(
    lifecycle: Lifecycle,
    ticket: Ticket,
    data: bytes,
    detail: str | None,
    encode: Callable[[ImageParser, Parsed], Body],
    log_fields: Mapping[str, Any],
) -> Answer[Body]:
    """Return what `encode` makes of an image file that was accepted; count and log it. Raises Problem."""
    parser, _ = lifecycle.serving()
    ticket.detail = detail = detail or parser.detail
    try:
        prepared = await ticket.run("decode", partial(parser.prepare, data, detail))
        parsed = await ticket.run("infer", partial(parser.infer, prepared))
        body = await ticket.run("encode", partial(encode, parser, parsed))
    except ImageError as error:
        raise Problem(error.kind, str(error)) from error
    timings_ms, server_timing = ticket.stopwatch.stop(), ticket.stopwatch.server_timing()
    people = int((parsed.output.person_score > 0).sum())
    lifecycle.metrics.observe(timings_ms, people)
    lifecycle.metrics.requests.labels("ok").inc()
    if lifecycle.tracing is not None:
        lifecycle.tracing.record_stages(timings_ms)
    said = " ".join(f"{name}={value}" for name, value in log_fields.items())
    fields = {**log_fields, "people": people, "timings_ms": timings_ms}
    log.info("%s people=%d %s", said, people, server_timing, extra={"fields": fields})
    return Answer(body, timings_ms, server_timing)
