"""Runs uvicorn with a gentle end: unready first, then no new images, then exit 0 after the last response."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from service.http.app import create_app
from service.http.protocol import Protocol
from service.serving.lifecycle import Lifecycle, Phase
from service.settings import Settings


class Server(uvicorn.Server):
    """A first SIGTERM or SIGINT drains for `drain_seconds`; a second one, or one before it is ready, ends at once."""

    def __init__(self, config: uvicorn.Config, lifecycle: Lifecycle) -> None:
        super().__init__(config)
        self._lifecycle = lifecycle
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal; uvicorn's own would end at once and with the signal as exit status."""
        if self._draining:
            self.should_exit = self.force_exit = True
            return
        self._draining = True
        asyncio.get_running_loop().call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        seconds = 0.0 if self._lifecycle.phase is Phase.STARTING else self._lifecycle.settings.drain_seconds
        self._lifecycle.drain()
        asyncio.get_running_loop().call_later(seconds, self._stop)

    def _stop(self) -> None:
        self._lifecycle.stop()
        self.should_exit = True


def serve(lifecycle: Lifecycle, listener: socket.socket) -> int:
    """Run the server until it is told to end. Returns the exit status: 1 if the bundle cannot be served."""
    failed = False

    def fail() -> None:
        nonlocal failed
        failed = True
        server.should_exit = True

    lifecycle.on_failure = fail
    server = Server(server_config(create_app(lifecycle), lifecycle.settings), lifecycle)
    server.run(sockets=[listener])
    status = 1 if failed or not server.started else 0
    if lifecycle.is_loading:
        # Python would wait for the thread that compiles the graph.
        logging.shutdown()
        os._exit(status)
    return status


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn is to serve the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        loop="auto",  # uvloop, but on Windows
        access_log=False,
        log_config=None,
        server_header=False,
        ws_max_size=settings.max_bytes,
        ws_per_message_deflate=False,  # images do not shrink, and a frame is never larger than what was sent
    )
