"""Answers for a replica that died at work: Ray Serve's proxies run this in front of every request."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.http.problem_response import problem_response
from service.problems import Problem

REQUEST_ID = "X-Request-ID"
RETRY_SECONDS = 1  # another replica answers already, or this one does in a while


def middlewares() -> list[Middleware]:
    """Return what a proxy of Ray Serve adds (RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH)."""
    return [Middleware(LostRequests)]


class LostRequests:
    """A request that ends without a response gets 503 and Retry-After; Serve would say 500, as for a bug.

    So does one that finds no application, before there is one or after its end: Serve's own 404 would be final.
    It also leaves one X-Request-ID in a response: the application and Serve both add it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = headers.get(REQUEST_ID, "")
                of_serve = message["status"] == 404 and headers.get("Content-Type", "").startswith("text/plain")
                started = not of_serve  # the application's are JSON
            if started:
                await send(message)

        await self._app(scope, receive, watched)
        if not started:
            lost = Problem("not-ready", "no process is at work on this request: send it again", retry_after=1)
            response = problem_response(lost, Headers(scope=scope).get(REQUEST_ID, ""))
            response.headers["Connection"] = "close"  # this proxy may be about to end
            await response(scope, receive, watched)
