"""Opens the socket of the server, before anything that takes a while."""

from __future__ import annotations

import socket

from service.settings import SettingsError

BACKLOG = 2048  # connections that may wait to be accepted: uvicorn's own number


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises SettingsError if there is none to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        cause = str(error.strerror).partition(" (while")[0]  # Python adds the address
        reason = f"cannot listen on {host}, port {port}: {cause}"
        raise SettingsError(f"{reason}: choose another --port or --host") from error
