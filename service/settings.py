"""Reads the settings of an operator from `HUMANPARSE_*` environment variables alone."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "HUMANPARSE_"
RENAMED = {"HUMANPARSE_FINEST_DETAIL": "HUMANPARSE_MAX_DETAIL"}  # former names, read for one version
DEFAULT_BUNDLE = Path(__file__).resolve().parent.parent / "bundles" / "default"

ORIGIN = re.compile(r"https?://[^/\s,*]+")
log = logging.getLogger(__name__)

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(ge=0)]


class SettingsError(ValueError):
    """A setting is unknown or out of range. The message names the variable and what it may be."""


class Settings(BaseSettings):
    """All settings. One instance is made at start-up and handed down; nothing else reads the environment."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    bundle: Path = Field(DEFAULT_BUNDLE, description="folder with parser.onnx and manifest.json")
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0 inside a container")
    port: int = Field(8000, ge=0, le=65535)

    backend: Literal["auto", "openvino", "onnxruntime", "cuda", "tensorrt"] = Field(
        "auto", description="auto: the best that is there, of tensorrt, cuda, openvino, onnxruntime (on the CPU)"
    )
    precision: Literal["auto", "f32", "bf16", "fp16", "int8"] = Field(
        "auto",
        description="of the network (the decoder is always f32); auto: the fastest that the runtime has; fp16: of an "
        "engine for TensorRT; int8: of a bundle that python -m export int8 prepared",
    )
    detail: Literal["auto", "fast", "standard", "high", "finest"] = Field(
        "auto", description="level of detail; auto: the finest that meets inference_budget_seconds on this machine"
    )
    max_detail: Literal["fast", "standard", "high", "finest"] = Field(
        "finest", description="neither auto nor a request's ?detail= goes beyond it"
    )
    inference_budget_seconds: Seconds = Field(
        0.105, description="what 0.15 s leaves for inference after decoding, waiting and encoding"
    )
    cache_dir: Path | None = Field(
        None, description="folder for what runtimes compile: a second start takes seconds; unset: nothing is kept"
    )
    batch_delay_seconds: Seconds = Field(
        0.002, description="on a GPU: how long an idle one waits for more images to run together; 0: not at all"
    )
    threads: int = Field(0, ge=0, description="CPU threads of the backend; 0: its own choice")

    max_bytes: Positive = Field(32 * 2**20, description="largest image file accepted")
    max_pixels: Positive = Field(
        8192 * 8192, description="largest width x height accepted, read before decoding; phones have 64 megapixels"
    )
    body_timeout_seconds: Annotated[float, Field(gt=0)] = Field(
        30.0, description="a slower request body: 408; a stream without a frame for as long is closed"
    )
    max_images: Positive = Field(16, description="images of one request; together they may have max_bytes")
    queue_limit: Positive = Field(16, description="images waiting for the backend; more are refused with 429")
    stream_limit: Positive = Field(8, description="WebSockets of /stream open at once; more are refused")
    max_buffered_bytes: Positive = Field(
        512 * 2**20, description="of all request bodies at once; more are refused with 429"
    )
    decode_threads: Positive = Field(2, description="threads that decode images, and as many that encode responses")
    drain_seconds: Seconds = Field(5.0, description="after SIGTERM: unready but still serving for this long")
    log_format: Literal["text", "json"] = Field("text", description="json: one object a line, on standard error")
    otlp_endpoint: str = Field(
        "", description="where traces go, as http://collector:4318/v1/traces; needs the extra otel; empty: nowhere"
    )
    cors_origins: str = Field(
        "", description="origins whose pages may call this server, separated by commas, or *; empty: none"
    )
    api_key_file: Path | None = Field(
        None,
        description="file with the API key that images need, or folder of such files; unset: none",
    )
    rate_limit: Seconds = Field(0.0, description="images a second for each key; 0: no limit")

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: str) -> str:
        for origin in _split(value):
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin such as https://example.org or http://localhost:3000")
        return value

    @field_validator("otlp_endpoint")
    @classmethod
    def _check_endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^/\s]+/\S*", value):
            raise ValueError(f"{value!r} is no address such as http://localhost:4318/v1/traces")
        return value

    @property
    def allowed_origins(self) -> list[str]:
        """Return `cors_origins` one by one."""
        return _split(self.cors_origins)


def _split(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def load_settings(environment: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Read settings from the environment; keyword arguments (the command line's) win.

    A setting under its former name is read, with a warning in the log. Raises SettingsError for a value out of range
    and for a `HUMANPARSE_*` name that is no setting: a misspelt limit must not silently be no limit.
    """
    names = _current_names(os.environ if environment is None else environment)
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = sorted(n for n in names if n.upper().startswith(PREFIX) and n.upper() not in known)
    if unknown:
        raise SettingsError(f"unknown setting {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    given = {k: v for k, v in overrides.items() if v is not None}
    try:
        from_mapping = {n[len(PREFIX) :].lower(): v for n, v in names.items() if n.upper().startswith(PREFIX)}
        return Settings(**{**from_mapping, **given})
    except ValidationError as error:
        problems = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(problems) from error


def _current_names(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment with former names replaced. Raises SettingsError if both names are set."""
    current = dict(environment)
    for old in [name for name in environment if name.upper() in RENAMED]:
        new = RENAMED[old.upper()]
        if any(name.upper() == new for name in environment):
            raise SettingsError(f"{old} is the former name of {new}, which is set, too: unset {old}")
        log.warning("%s is deprecated: set %s instead", old, new)
        current[new] = current.pop(old)
    return current
