"""Gives every request an id that the response and the log bear, and every response the headers that they share."""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problem_response import http_problem
from service.serving.lifecycle import Phase

log = logging.getLogger(__name__)
ALLOWED = re.compile(r"[A-Za-z0-9._:-]{1,128}")
TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


# A response is data: a browser that opens it loads nothing and runs nothing. Pages bring a policy of their own.
POLICY = "Content-Security-Policy"
SECURITY_HEADERS = {
    POLICY: "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class RequestIdMiddleware:
    """Takes `X-Request-ID`, else the trace id of a W3C `traceparent`, else a new one, and sends it back.

    The outermost layer: what escapes the app becomes a 500 that bears the id, and the log has the traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in SECURITY_HEADERS.items():
                    if name != POLICY or not headers.get("Content-Type", "").startswith("text/html"):
                        headers.setdefault(name, value)
                # A connection that is kept would be cut off at the end of the drain. One whose body was not read is
                # left to the protocol, which lets the client hear the answer.
                if message["status"] < 400 and scope["app"].state.lifecycle.phase is Phase.DRAINING:
                    headers["Connection"] = "close"
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception:
            log.exception("request_id=%s failed", request_id)
            scope["app"].state.lifecycle.metrics.requests.labels("server_error").inc()
            if started:
                raise
            await http_problem(500, "Internal Server Error", request_id, path=scope["path"])(
                scope, receive, send_with_id
            )


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    if ALLOWED.fullmatch(given):
        return given
    trace = TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return trace[1] if trace else uuid.uuid4().hex
