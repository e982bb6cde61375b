"""Speaks the Open Inference Protocol (KServe v2) under /v2, for clients such as tritonclient."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from model.manifest import Manifest
from service.http.image_request import log_fields, unless_disconnected, until_closed
from service.http.inference_protocol import (
    HEADER_LENGTH,
    INPUTS,
    Encoded,
    InferRequest,
    InferResponse,
    read_image,
    read_request,
    requested_outputs,
    write_response,
)
from service.http.openapi import EXAMPLES
from service.http.parameters import check_detail
from service.http.problem_response import INFERENCE_PROTOCOL
from service.http.request_body import largest_body, read_bytes
from service.parsing.parser import ImageParser, Parsed
from service.responses.tensors import TensorSpec, output_specs, output_tensors
from service.serving.lifecycle import Lifecycle, Phase
from service.serving.pipeline import answer
from service.serving.scheduler import Ticket
from service.version import version

router = APIRouter(prefix=INFERENCE_PROTOCOL, tags=["Open Inference Protocol (KServe v2)"])


@router.head("", include_in_schema=False)
@router.get("")
async def server() -> dict[str, Any]:
    """Return the server's name, version and protocol extensions."""
    return {"name": "humanparse", "version": version(), "extensions": ["binary_tensor_data"]}


@router.head("/health/live", include_in_schema=False)
@router.get("/health/live")
async def live() -> Response:
    """Return 200 while the process runs."""
    return Response()


@router.head("/health/ready", include_in_schema=False)
@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Return 200 if new images are accepted."""
    return Response(status_code=200 if _lifecycle(request).phase is Phase.READY else 503)


@router.head("/models/{name}/ready", include_in_schema=False)
@router.get("/models/{name}/ready")
@router.head("/models/{name}/versions/{model_version}/ready", include_in_schema=False)
@router.get("/models/{name}/versions/{model_version}/ready")
async def model_ready(request: Request, name: str, model_version: str | None = None) -> Response:
    """Return 200 if the model accepts images."""
    _model(request, name, model_version)
    return await ready(request)


@router.head("/models/{name}", include_in_schema=False)
@router.get("/models/{name}")
@router.head("/models/{name}/versions/{model_version}", include_in_schema=False)
@router.get("/models/{name}/versions/{model_version}")
async def model(request: Request, name: str, model_version: str | None = None) -> dict[str, Any]:
    """Return the model's inputs, of which a request has one, and outputs."""
    parser = _model(request, name, model_version)
    return {
        "name": parser.manifest.name,
        "versions": [parser.manifest.version],
        "platform": parser.backend.name,
        "inputs": [_tensor(spec) for spec in INPUTS],
        "outputs": [_tensor(spec) for spec in output_specs(parser.manifest)],
    }


# Its definitions stand among the components of the document, where app.py puts them.
INFER_REQUEST = InferRequest.model_json_schema(ref_template="#/components/schemas/{model}")
DEFINITIONS = INFER_REQUEST.pop("$defs")
INFER = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": INFER_REQUEST,
                "examples": EXAMPLES["infer"]["request"],
            }
        },
    },
}
INFERRED: dict[int | str, dict[str, Any]] = {
    200: {"model": InferResponse, "content": {"application/json": {"examples": EXAMPLES["infer"]["response"]}}}
}


@router.post("/models/{name}/infer", responses=INFERRED, openapi_extra=INFER)
@router.post("/models/{name}/versions/{model_version}/infer", responses=INFERRED, openapi_extra=INFER)
async def infer(request: Request, name: str, model_version: str | None = None) -> Response:
    """Find every person in an image; the parameter `detail` is a level that /model lists."""
    lifecycle = _lifecycle(request)
    parser = _model(request, name, model_version)
    return await until_closed(lifecycle.metrics, _infer(request, lifecycle, parser))


async def _infer(request: Request, lifecycle: Lifecycle, parser: ImageParser) -> Response:
    settings, manifest = lifecycle.settings, parser.manifest
    body = await read_bytes(request, largest_body(settings.max_bytes), settings.body_timeout_seconds)
    asked, binary = read_request(body, request.headers.get(HEADER_LENGTH))
    specs = output_specs(manifest)
    outputs = requested_outputs(asked, specs)
    check_detail(asked.parameters.detail, parser)
    ticket: Ticket = request.state.ticket
    image = await asyncio.to_thread(read_image, asked.inputs[0], binary)

    def encode(parser: ImageParser, parsed: Parsed) -> Encoded:
        tensors = output_tensors(parser, parsed, outputs, request.state.request_id)
        return write_response((manifest.name, manifest.version), asked.id, tensors, specs, outputs)

    work = answer(lifecycle, ticket, image, asked.parameters.detail, encode, log_fields(request))
    found = await unless_disconnected(request, work)
    headers = {"Server-Timing": found.server_timing}
    if found.body.header_length is None:
        return Response(found.body.body, headers=headers, media_type="application/json")
    headers[HEADER_LENGTH] = str(found.body.header_length)
    return Response(found.body.body, headers=headers, media_type="application/octet-stream")


def _lifecycle(request: Request) -> Lifecycle:
    lifecycle: Lifecycle = request.app.state.lifecycle
    return lifecycle


def _model(request: Request, name: str, version: str | None) -> ImageParser:
    """Raises Problem "not-ready" and HTTPException 404 for a model that is not served."""
    parser, _ = _lifecycle(request).serving()
    served: Manifest = parser.manifest
    if name != served.name or version not in (None, served.version):
        raise HTTPException(404, f"no such model: {served.name}, version {served.version}, is served")
    return parser


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.datatype, "shape": list(spec.shape)}
