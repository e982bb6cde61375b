"""Decides on an image before its body is read and before a route is sought: a refusal costs next to nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.http.authorization import check_key
from service.http.problem_response import log_problem, problem_response
from service.http.request_body import largest_body
from service.parsing.parser import ImageParser
from service.problems import Problem, invalid_parameter
from service.serving.lifecycle import RETRY_SECONDS, Lifecycle


class AdmissionMiddleware:
    """Accepts or refuses what is POSTed: its key, that key's rate, the memory for its body, the queue, its deadline.

    An endpoint finds `key`, `deadline` and `ticket` in the state of its request. It reads the body afterwards, and only
    that sends 100 Continue to a client who waits for it.
    """

    def __init__(self, app: ASGIApp, lifecycle: Lifecycle) -> None:
        self._app, self._lifecycle = app, lifecycle
        self._buffered_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        arrived, state, headers = time.perf_counter(), scope["state"], Headers(scope=scope)
        try:
            state["key"] = check_key(HTTPConnection(scope), self._lifecycle.keys)
            parser, scheduler = self._lifecycle.serving()
            state["deadline"] = deadline = _deadline(headers, arrived)
            with self._buffered(headers), scheduler.admitted(_detail(scope, parser), deadline) as ticket:
                self._lifecycle.count(state["key"])
                state["ticket"] = ticket
                await self._app(scope, receive, send)
        except Problem as problem:
            self._lifecycle.metrics.refuse(problem)
            log_problem(problem, state["request_id"])
            await problem_response(problem, state["request_id"], scope["path"])(scope, receive, send)

    @contextmanager
    def _buffered(self, headers: Headers) -> Iterator[None]:
        """Reserve memory for a body until it is answered. Raises Problem "queue-full"."""
        most, length = largest_body(self._lifecycle.settings.max_bytes), headers.get("content-length", "")
        size = min(int(length), most) if length.isdecimal() else most
        # One body always fits.
        if self._buffered_bytes and self._buffered_bytes + size > self._lifecycle.settings.max_buffered_bytes:
            raise Problem("queue-full", "too many images are being uploaded: try later", retry_after=RETRY_SECONDS)
        self._buffered_bytes += size
        try:
            yield
        finally:
            self._buffered_bytes -= size


def _detail(scope: Scope, parser: ImageParser) -> str:
    """Return the level of detail that the query names; an endpoint corrects it once it has read the body."""
    detail = dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("detail", parser.detail)
    return detail if detail in parser.levels else parser.detail


def _deadline(headers: Headers, arrived: float) -> float | None:
    """Return X-Deadline-Ms as a time of time.perf_counter's clock."""
    value = headers.get("x-deadline-ms")
    if value is None:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 9:
        raise invalid_parameter("X-Deadline-Ms", "X-Deadline-Ms is a whole number of milliseconds")
    return arrived + int(value) / 1e3
