"""Builds the HTTP application: routes, error handlers and middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from model.manifest import CARD
from service.http import kserve, page, parse_endpoint, stream
from service.http.admission import AdmissionMiddleware
from service.http.docs_page import HEADERS, docs_page
from service.http.inference_protocol import HEADER_LENGTH
from service.http.parameters import PARAMETERS, parameter_problem
from service.http.problem_response import http_problem, log_problem, problem_response
from service.http.request_id import RequestIdMiddleware
from service.http.tracing import TracingMiddleware
from service.parsing.parity import read_parity
from service.problems import Problem
from service.responses.label_studio import labeling_config
from service.serving.lifecycle import Lifecycle, Phase
from service.version import version

DESCRIPTION = "Send a photo; get every person's body parts, keypoints, and which pixel belongs to whom."


def create_app(lifecycle: Lifecycle) -> FastAPI:
    """Return the application; when it starts it loads its bundle, if that has not begun before."""
    settings = lifecycle.settings

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.create_task(lifecycle.load())
        yield
        lifecycle.stop()
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        lifecycle.close()

    app = FastAPI(
        title="humanparse",
        description=DESCRIPTION,
        version=version(),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load their scripts from a CDN
        redoc_url=None,
        # FastAPI's own, which variables of the environment could send elsewhere; ours is service/http/tracing.py.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.lifecycle = lifecycle
    app.add_middleware(AdmissionMiddleware, lifecycle=lifecycle)
    if lifecycle.tracing is not None:
        app.add_middleware(TracingMiddleware, tracing=lifecycle.tracing)
    app.add_middleware(RequestIdMiddleware)
    if settings.allowed_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.allowed_origins,
            allow_methods=["GET", "POST"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                HEADER_LENGTH,
                "traceparent",
                "X-Deadline-Ms",
                "X-Request-ID",
            ],
            expose_headers=[HEADER_LENGTH, "Retry-After", "Server-Timing", "X-Request-ID"],
        )
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(HTTPException, _http)
    app.include_router(parse_endpoint.router)
    app.include_router(kserve.router)
    app.include_router(stream.router)
    app.include_router(page.router(settings.bundle))

    @app.head("/docs", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(docs_page(app.openapi()), headers=HEADERS)

    @app.head("/livez", include_in_schema=False)
    @app.get("/livez")
    async def livez() -> Response:
        """Return 200 while the process runs."""
        return PlainTextResponse("ok")

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz")
    async def readyz() -> Response:
        """Return 200 if new images are accepted: the model is warm and checked, and no stop is under way."""
        ready = lifecycle.phase is Phase.READY
        return PlainTextResponse(lifecycle.phase.value, 200 if ready else 503)

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics")
    async def metrics() -> Response:
        """Return the Prometheus metrics."""
        return Response(lifecycle.metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.head("/model", include_in_schema=False)
    @app.get("/model")
    async def model() -> dict[str, Any]:
        """Return the model's names, colors, limits and metrics, and the card and licence of its weights."""
        return _model(lifecycle)

    app.openapi()["components"]["schemas"] |= kserve.DEFINITIONS  # FastAPI keeps the document that it makes
    return app


def _model(lifecycle: Lifecycle) -> dict[str, Any]:
    parser, _ = lifecycle.serving()
    manifest, settings = parser.manifest, lifecycle.settings
    card = settings.bundle / CARD
    return {
        "name": manifest.name,
        "version": manifest.version,
        "backend": parser.backend.name,
        "precision": parser.backend.precision,
        "backend_reason": parser.reason,
        "detail": parser.detail,
        "details": list(parser.levels),
        "inference_ms": round(parser.seconds * 1e3, 1),
        "canvases": manifest.canvases,
        "limits": {
            "bytes": settings.max_bytes,
            "images": settings.max_images,
            "pixels": settings.max_pixels,
            "people": manifest.decoder.max_people,
            "candidates": manifest.decoder.max_candidates,
            "queue": settings.queue_limit,
        },
        "taxonomy": manifest.taxonomy.to_dict(),
        "label_studio_interface": labeling_config(manifest.taxonomy),
        "accuracy": manifest.accuracy,
        "parity": read_parity(settings.bundle, manifest),
        "data": manifest.data,
        "data_licenses": manifest.data_licenses,
        "weights_licence": manifest.weights_licence,
        "card": card.read_text(encoding="utf-8") if card.is_file() else None,
    }


def _problem(request: Request, error: Exception) -> Response:
    if not isinstance(error, Problem):
        raise error
    request.app.state.lifecycle.metrics.refuse(error)
    log_problem(error, request.state.request_id)
    return problem_response(error, request.state.request_id, request.url.path)


def _validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return _problem(request, parameter_problem(error.errors(), PARAMETERS))


def _http(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    headers = dict(error.headers or {})
    return http_problem(error.status_code, error.detail, request.state.request_id, headers, request.url.path)
