"""Puts a span around every POST."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.serving.tracing import Tracing


class TracingMiddleware:
    """Names the span by method and route; its status is an error from 500 on."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app, self._tracing = app, tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        request = {"http.request.method": "POST", "humanparse.request_id": scope["state"]["request_id"]}
        with self._tracing.request(dict(Headers(scope=scope)), request) as span:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        self._tracing.mark_failed(span)
                await send(message)

            await self._app(scope, receive, send_and_note)
            if route := getattr(scope.get("route"), "path", None):
                span.update_name(f"POST {route}")
                span.set_attribute("http.route", route)
