"""Names every way a request can fail. Each kind has a status and a title; clients may match the kind.

Problem
├── 400 broken-image, broken-request
├── 401 unauthorized
├── 403 foreign-origin
├── 406 not-acceptable
├── 408 slow-body
├── 413 too-many-bytes, too-many-pixels, too-many-images
├── 415 unsupported-format, unsupported-media-type
├── 422 invalid-parameter
├── 429 queue-full, deadline-unreachable, rate-limited, too-many-streams   + Retry-After
├── 503 not-ready                                                          + Retry-After
└── 504 deadline-passed
"""

from __future__ import annotations

from typing import Any

TITLES = {
    "broken-image": (400, "The image cannot be decoded"),
    "broken-request": (400, "The request cannot be read"),
    "unauthorized": (401, "A valid API key is needed"),
    "foreign-origin": (403, "Pages of this origin may not call"),
    "not-acceptable": (406, "None of the accepted media types can be produced"),
    "slow-body": (408, "The request body did not arrive in time"),
    "too-many-bytes": (413, "The image file is too large"),
    "too-many-pixels": (413, "The image has too many pixels"),
    "too-many-images": (413, "The request has too many images"),
    "unsupported-format": (415, "The format is not supported"),
    "unsupported-media-type": (415, "The Content-Type is not supported"),
    "invalid-parameter": (422, "A parameter is invalid"),
    "too-many-streams": (429, "Too many streams are open"),
    "queue-full": (429, "Too many images are waiting"),
    "rate-limited": (429, "The key has used up its rate"),
    "deadline-unreachable": (429, "The deadline cannot be met"),
    "not-ready": (503, "The service is starting or stopping"),
    "deadline-passed": (504, "The deadline passed"),
}


class Problem(Exception):
    """A request that gets no result.

    `kind` is a key of `TITLES`, `detail` says what to do about it, `retry_after` is in seconds, `errors` point at
    single parameters: `{"parameter": ..., "detail": ...}`.
    """

    def __init__(
        self, kind: str, detail: str, *, retry_after: float | None = None, errors: list[dict[str, Any]] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.retry_after, self.errors = kind, detail, retry_after, errors or []
        self.status, self.title = TITLES[kind]


def invalid_parameter(parameter: str, detail: str) -> Problem:
    """Return the problem of one parameter, which its `errors` name."""
    return Problem("invalid-parameter", detail, errors=[{"parameter": parameter, "detail": detail}])
