"""Reads and writes messages of the Open Inference Protocol (KServe v2) and its binary extension.

https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol and Triton's
docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.http.base64_text import decode_base64
from service.problems import Problem, invalid_parameter
from service.responses.tensors import TensorSpec

HEADER_LENGTH = "Inference-Header-Content-Length"
LENGTH_BYTES = 4  # of an element of BYTES, before it, little-endian
INPUTS = (TensorSpec("image", "BYTES", (1,)), TensorSpec("pixels", "UINT8", (-1, -1, 3)))
HOW = "send one input: image, BYTES [1], a file; or pixels, UINT8 [height, width, 3], RGB"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InputParameters(_Strict):
    """Parameters of an input."""

    binary_data_size: int | None = Field(default=None, ge=0)


class Input(_Strict):
    """A tensor of the request: `image`, a file, or `pixels`, upright RGB; data stands here, or as bytes after the JSON.

    Bytes of a file in JSON are base64.
    """

    name: Literal["image", "pixels"]
    datatype: Literal["BYTES", "UINT8"]
    shape: list[int] = Field(max_length=4)
    parameters: InputParameters = Field(default_factory=InputParameters)
    data: list[Any] | None = None


class OutputParameters(_Strict):
    """Parameters of an output."""

    binary_data: bool | None = None


class RequestedOutput(_Strict):
    """An output that the client asks for."""

    name: str
    parameters: OutputParameters = Field(default_factory=OutputParameters)


class InferParameters(_Strict):
    """Parameters of a request; `detail` is ours."""

    binary_data_output: bool = False
    detail: str | None = None


class InferRequest(_Strict):
    """The JSON of an inference request."""

    id: str = Field("", max_length=256)
    parameters: InferParameters = Field(default_factory=InferParameters)
    inputs: list[Input] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = Field(None, max_length=64)


class OutputTensor(BaseModel):
    """A tensor of the response; `data` is in row-major order, or stands as bytes after the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, int] | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """The JSON of an inference response."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[OutputTensor]


class Encoded(NamedTuple):
    """A body, and the bytes of its JSON if others follow them."""

    body: bytes
    header_length: int | None


def read_request(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """Return the JSON of a request and the bytes after it. Raises Problem "broken-request" or "invalid-parameter"."""
    if header_length is None:
        end = len(body)
    elif header_length.isascii() and header_length.isdecimal() and int(header_length) <= len(body):
        end = int(header_length)
    else:
        raise invalid_parameter(HEADER_LENGTH, f"{HEADER_LENGTH} is the number of bytes of the JSON")
    try:
        return InferRequest.model_validate_json(body[:end]), body[end:]
    except ValidationError as error:
        (first, *_) = error.errors(include_url=False, include_input=False)
        where = ".".join(map(str, first["loc"]))
        raise invalid_parameter(where or "body", f"{where or 'the JSON'}: {first['msg'][:200]}") from error


def read_image(given: Input, binary: bytes) -> bytes:
    """Return the image file of an input; pixels become a BMP, so that they go the way of every file.

    Raises Problem "broken-request".
    """
    size = given.parameters.binary_data_size
    if (size or 0) != len(binary):
        raise _broken(f"binary_data_size of {given.name} is {size}, and {len(binary)} bytes follow the JSON")
    if given.name == "image":
        if given.datatype != "BYTES" or math.prod(given.shape) != 1:
            raise _broken(f"image is {given.datatype} {given.shape}")
        if given.data is None:
            length = int.from_bytes(binary[:LENGTH_BYTES], "little")
            if length + LENGTH_BYTES != len(binary):
                raise _broken("image is no single element: its length, 4 bytes, little-endian, then its bytes")
            return binary[LENGTH_BYTES:]
        if size is not None or len(given.data) != 1 or not isinstance(given.data[0], str):
            raise _broken("image in JSON is no single text of base64")
        try:
            return decode_base64(given.data[0])
        except ValueError as error:
            raise _broken(f"image in JSON is no base64: {error}") from error
    if given.data is not None or size is None:
        raise _broken("pixels go as binary data: with binary_data_size, after the JSON")
    height, width, channels = given.shape[-3:] if len(given.shape) >= 3 else (0, 0, 0)
    if given.datatype != "UINT8" or channels != 3 or math.prod(given.shape) != size or min(height, width) < 1:
        raise _broken(f"pixels are {given.datatype} {given.shape} in {size} bytes")
    if len(given.shape) == 4 and given.shape[0] != 1:
        raise _broken(f"pixels are of {given.shape[0]} images")
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), binary).save(file, "BMP")
    return file.getvalue()


def requested_outputs(request: InferRequest, specs: list[TensorSpec]) -> dict[str, bool]:
    """Return the outputs that a request asks for, all by default, and whether each goes as bytes.

    Raises Problem "invalid-parameter" for one that there is not.
    """
    known = [spec.name for spec in specs]
    default = request.parameters.binary_data_output
    if not request.outputs:
        return dict.fromkeys(known, default)
    for output in request.outputs:
        if output.name not in known:
            raise invalid_parameter("outputs", f"output {output.name!r:.99} is unknown; known: {', '.join(known)}")
    binary = {output.name: output.parameters.binary_data for output in request.outputs}
    return {name: default if value is None else value for name, value in binary.items()}


def write_response(
    names: tuple[str, str], id_: str, tensors: Mapping[str, NDArray[Any] | bytes], specs: list[TensorSpec],
    binary: Mapping[str, bool],
) -> Encoded:  # fmt: skip
    """Return the response of a model, its name and version, with its outputs as JSON or as bytes."""
    datatypes = {spec.name: spec.datatype for spec in specs}
    outputs, chunks = [], []
    for name, tensor in tensors.items():
        shape = [1] if isinstance(tensor, bytes) else list(tensor.shape)
        output: dict[str, Any] = {"name": name, "datatype": datatypes[name], "shape": shape}
        if binary[name]:
            chunk = tensor.tobytes() if not isinstance(tensor, bytes) else _element(tensor)
            output["parameters"] = {"binary_data_size": len(chunk)}
            chunks.append(chunk)
        else:
            output["data"] = [tensor.decode()] if isinstance(tensor, bytes) else tensor.ravel().tolist()
        outputs.append(output)
    message = {"model_name": names[0], "model_version": names[1], "outputs": outputs} | ({"id": id_} if id_ else {})
    header = json.dumps(message).encode()
    return Encoded(b"".join([header, *chunks]), len(header) if chunks else None)


def _element(content: bytes) -> bytes:
    return len(content).to_bytes(LENGTH_BYTES, "little") + content


def _broken(what: str) -> Problem:
    return Problem("broken-request", f"{what}: {HOW}")
