"""What clients get whose replica died."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import Receive, Scope, Send

from service.scale.proxy import LostRequests


async def died(scope: Scope, receive: Receive, send: Send) -> None:
    scope["headers"].append((b"x-request-id", b"seven"))  # as Serve's proxy does


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse("ok")
    for _ in range(2):  # the application's and Serve's
        response.raw_headers.append((b"x-request-id", b"seven"))
    await response(scope, receive, send)


async def has_no_application(scope: Scope, receive: Receive, send: Send) -> None:
    scope["headers"].append((b"x-request-id", b"seven"))
    await PlainTextResponse("Path '/parse' not found.", 404)(scope, receive, send)


async def knows_no_such_path(scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"detail": "no such path"}, 404)(scope, receive, send)


async def get(app: object) -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(LostRequests(app)), base_url="http://x") as client:
        return await client.get("/")


@pytest.mark.parametrize("app", [died, has_no_application])
def test_a_request_that_nobody_answers_is_a_problem_that_asks_to_send_it_again(app: object) -> None:
    response = asyncio.run(get(app))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert response.headers["connection"] == "close"
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "urn:humanparse:problem:not-ready"
    assert response.json()["request_id"] == "seven"


def test_the_applications_own_404_passes() -> None:
    assert asyncio.run(get(knows_no_such_path)).status_code == 404


def test_a_response_passes_with_one_request_id() -> None:
    response = asyncio.run(get(answers))
    assert (response.status_code, response.text) == (200, "ok")
    assert response.headers.get_list("x-request-id") == ["seven"]
