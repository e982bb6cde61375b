"""Speaks HTTP/1.1 on a connection: uvicorn's protocol, with bounds for clients that are slow or send on.

The parser is llhttp (httptools): with one in Python (h11) a refusal took 1.8 times as long (docs/load.md).
"""

from __future__ import annotations

import asyncio
import socket
import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.http.problem_response import problem_response
from service.problems import Problem

HEAD_SECONDS = 10.0  # until the head of a connection's first request is here
MAX_HEAD = 64 * 2**10  # bytes of a head that is not complete
# Of a body that nobody reads, because it was refused. Up to here the connection can be used again, and its client, who
# may not listen before it has sent everything, surely hears the answer.
MAX_DISCARDED = 4 * 2**20


class Protocol(HttpToolsProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called when a client connects."""
        super().connection_made(transport)
        # asyncio does so only for sockets that name their protocol, and ours was opened without. Head and body of a
        # response are two packets, and the second would wait 40 ms for the first to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in_head = False
        self._head = self._discarded = 0
        self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def data_received(self, data: bytes) -> None:
        """Called when bytes arrive."""
        super().data_received(data)
        if self.cycle is not None and self.cycle.response_complete and self.timeout_keep_alive_task is None:
            # Part of a refused body or of a head: its client may pause no longer than between two requests.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self._head = self._head + len(data) if self._in_head else 0
        if self._head > MAX_HEAD:
            self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        """Called when a request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Called when the head of a request is there."""
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Called when bytes of a body arrive."""
        if self.cycle.response_complete:
            self._discarded += len(body)
            if self._discarded > MAX_DISCARDED:
                self.transport.close()
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Called when a response is sent."""
        self._discarded = 0
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is no HTTP, or has too long a head."""
        answer = problem_response(Problem("broken-request", msg), uuid.uuid4().hex)
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            lines = [b"%s: %s\r\n" % header for header in (*answer.raw_headers, (b"connection", b"close"))]
            self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", bytes(answer.body)]))
        self.transport.close()

    def _close_if_silent(self) -> None:
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.close()
