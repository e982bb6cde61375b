"""What clients get whose replica died."""

from __future__ import annotations

import asyncio

import httpx
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.scale.proxy import LostRequests


async def died(scope: Scope, receive: Receive, send: Send) -> None:
    scope["headers"].append((b"x-request-id", b"seven"))  # as Serve's proxy does


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse("ok")
    for _ in range(2):  # the application's and Serve's
        response.raw_headers.append((b"x-request-id", b"seven"))
    await response(scope, receive, send)


async def get(app: object) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(LostRequests(app)), base_url="http://x") as client:
        return await client.get("/")


def test_a_request_without_a_response_is_a_problem_that_asks_to_send_it_again() -> None:
    response = asyncio.run(get(died))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:humanparse:problem:not-ready"
    assert response.json()["request_id"] == "seven"


def test_a_response_passes_with_one_request_id() -> None:
    response = asyncio.run(get(answers))
    assert (response.status_code, response.text) == (200, "ok")
    assert response.headers.get_list("x-request-id") == ["seven"]
