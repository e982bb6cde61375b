"""Checks who may call: the API key, and for WebSockets the origin of the page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from service.problems import Problem
from service.serving.keys import Keys

PROTOCOL = "humanparse"  # the WebSocket subprotocol that a server agrees to
KEY_PROTOCOL = "bearer."  # followed by the key in base64url: browsers let no script set a header of a WebSocket


def check_key(connection: HTTPConnection, keys: Keys) -> str | None:
    """Return the name of the key that the connection bears, None if none is needed. Raises Problem "unauthorized"."""
    return keys.name_of(_given_key(connection))


def check_origin(connection: HTTPConnection, allowed: Sequence[str]) -> None:
    """Raises Problem "foreign-origin" for a page of another host that CORS does not allow.

    CORS does not hold for WebSockets, so any page in a browser beside this server could else use it. Programs send no
    Origin and may call.
    """
    origin = connection.headers.get("origin")
    if origin is None or "*" in allowed or origin in allowed:
        return
    if urlsplit(origin).netloc != connection.headers.get("host"):
        raise Problem("foreign-origin", f"HUMANPARSE_CORS_ORIGINS does not name {origin[:80]}")


def _given_key(connection: HTTPConnection) -> str:
    scheme, _, key = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip()
    for protocol in connection.scope.get("subprotocols", ()):
        if protocol.startswith(KEY_PROTOCOL):
            coded = protocol.removeprefix(KEY_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
    return ""
