"""Speaks HTTP/1.1 on a connection: uvicorn's protocol, with bounds for clients that are slow or send on."""

from __future__ import annotations

import asyncio
import socket
import uuid

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.http.problem_response import problem_response
from service.problems import Problem

HEAD_SECONDS = 10.0  # until the head of a connection's first request is here
# Of a body that nobody reads, because it was refused. Up to here the connection can be used again, and its client, who
# may not listen before it has sent everything, surely hears the answer.
MAX_DISCARDED = 4 * 2**20


class Protocol(H11Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Called when a client connects."""
        super().connection_made(transport)
        # asyncio does so only for sockets that name their protocol, and ours was opened without. Head and body of a
        # response are two packets, and the second would wait 40 ms for the first to be acknowledged.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._discarded = 0
        self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def data_received(self, data: bytes) -> None:
        """Called when bytes arrive."""
        if self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY:
            self._discarded += len(data)
            if self._discarded > MAX_DISCARDED:
                self.transport.close()
                return
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Called when a response is sent."""
        self._discarded = 0
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Called for what is no HTTP, or has a head of more than 64 KiB."""
        answer = problem_response(Problem("broken-request", msg), uuid.uuid4().hex)
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [*answer.raw_headers, (b"connection", b"close")]
            response = h11.Response(status_code=answer.status_code, headers=headers, reason=b"Bad Request")
            for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _close_if_silent(self) -> None:
        if self.cycle is None and self.transport.get_protocol() is self:
            self.transport.close()
