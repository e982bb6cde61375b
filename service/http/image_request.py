"""What requests with images share: their place in the log, and a client that hangs up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.serving.metrics import Metrics

T = TypeVar("T")

CLIENT_CLOSED = 499  # nginx's code for a client that hung up; nobody reads it but the log


def log_fields(request: Request) -> dict[str, Any]:
    """Return what the log says of a request."""
    return {"request_id": request.state.request_id, "key": request.state.key}


async def until_closed(metrics: Metrics, work: Coroutine[Any, Any, Response]) -> Response:
    """Return the response of `work`, which reads the body and responds; count the request if its client hung up."""
    with metrics.inflight.track_inprogress():
        try:
            return await work
        except ClientDisconnect:
            metrics.cancelled.inc()
            metrics.requests.labels("cancelled").inc()
            return Response(status_code=CLIENT_CLOSED)


async def unless_disconnected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of `work`; if the client hangs up first, cancel `work` and raise ClientDisconnect."""
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
