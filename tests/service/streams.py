"""Clients of WS /stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.bundles import figure_image
from tests.service.conftest import SIZE, encode


@contextmanager
def streaming(client: httpx.Client, query: str = "", **options: Any) -> Iterator[ClientConnection]:
    url = f"ws://{client.base_url.host}:{client.base_url.port}/stream{query}"
    with connect(url, proxy=None, max_size=None, **options) as socket:
        yield socket


def closed(socket: ClientConnection) -> tuple[dict[str, Any], int, str]:
    """The problem, the close code and its reason."""
    problem = json.loads(socket.recv(20))["problem"]
    with pytest.raises(ConnectionClosed) as info:
        socket.recv(20)
    assert info.value.rcvd is not None
    return problem, info.value.rcvd.code, info.value.rcvd.reason


def moving_figures(frames: int) -> list[bytes]:
    files = []
    for number in range(frames):
        x = 6 * number
        figures = ((1, 1, (10 + x, 20, 60 + x, 50)), (1, 5, (10 + x, 50, 60 + x, 100)), (2, 3, (170, 10, 220, 110)))
        files.append(encode(Image.fromarray(figure_image(SIZE, *figures)), "PNG"))
    return files
