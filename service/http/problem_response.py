"""Writes problems as `application/problem+json` (RFC 9457). Clients may match the URN of a kind."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from service.problems import Problem

MEDIA_TYPE = "application/problem+json"
URN = "urn:humanparse:problem:"


def problem_response(problem: Problem, request_id: str) -> Response:
    """Return the problem as a response."""
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(problem_document(problem, request_id), headers)


def problem_document(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the problem's members."""
    return _document(problem.status, URN + problem.kind, problem.title, problem.detail, request_id, problem.errors)


def http_problem(status: int, title: str, request_id: str, headers: dict[str, str] | None = None) -> Response:
    """Return a problem that HTTP itself defines (404, 405, 500), of the type `about:blank`."""
    return _response(_document(status, "about:blank", title, title, request_id, []), headers or {})


def _document(
    status: int, type_: str, title: str, detail: str, request_id: str, errors: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "type": type_,
        "title": title,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        "errors": errors,
    }


def _response(document: dict[str, Any], headers: dict[str, str]) -> Response:
    return Response(json.dumps(document), document["status"], headers, media_type=MEDIA_TYPE)
