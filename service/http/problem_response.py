"""Writes problems as `application/problem+json` (RFC 9457). Clients may match the URN of a kind."""

from __future__ import annotations

import json
import logging
import math
from typing import Any

from starlette.responses import Response

from service.problems import Problem

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
URN = "urn:humanparse:problem:"
INFERENCE_PROTOCOL = "/v2"  # the path of KServe's protocol, which has problems of its own form


def problem_response(problem: Problem, request_id: str, path: str = "") -> Response:
    """Return the problem as the response to a request for `path`."""
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(problem.retry_after)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(problem_document(problem, request_id), headers, path)


def log_problem(problem: Problem, request_id: str) -> None:
    """Log a refused image, but for 429: under overload there are many, which the metrics count."""
    if problem.status != 429:
        fields = {"request_id": request_id, "status": problem.status, "problem": problem.kind}
        log.info("request_id=%s %d %s", request_id, problem.status, problem.kind, extra={"fields": fields})


def problem_document(problem: Problem, request_id: str) -> dict[str, Any]:
    """Return the problem's members."""
    return _document(problem.status, URN + problem.kind, problem.title, problem.detail, request_id, problem.errors)


def http_problem(
    status: int, title: str, request_id: str, headers: dict[str, str] | None = None, path: str = ""
) -> Response:
    """Return a problem that HTTP itself defines (404, 405, 500), of the type `about:blank`."""
    return _response(http_problem_document(status, title, request_id), headers or {}, path)


def http_problem_document(status: int, title: str, request_id: str) -> dict[str, Any]:
    """Return the members of a problem that HTTP itself defines."""
    return _document(status, "about:blank", title, title, request_id, [])


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


def _response(document: dict[str, Any], headers: dict[str, str], path: str) -> Response:
    if not path.startswith(f"{INFERENCE_PROTOCOL}/"):
        return Response(json.dumps(document), document["status"], headers, media_type=MEDIA_TYPE)
    title, detail = document["title"], document["detail"]
    error = title if title == detail else f"{title}: {detail}"
    return Response(json.dumps({"error": error}), document["status"], headers, media_type="application/json")
