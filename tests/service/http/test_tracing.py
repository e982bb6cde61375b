"""Traces arrive at a collector, which is the only one that is called."""

from __future__ import annotations

import builtins
import importlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from service.serving.lifecycle import Lifecycle
from service.settings import Settings, SettingsError, load_settings
from tests.service.conftest import running

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    server.shutdown()
    thread.join()
    server.server_close()


def read_spans(bodies: list[bytes]) -> list[Any]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    requests = [ExportTraceServiceRequest.FromString(body) for body in bodies]
    return [s for r in requests for resource in r.resource_spans for scope in resource.scope_spans for s in scope.spans]


def test_a_request_is_a_span_with_its_stages_below(
    settings: Settings, png: bytes, collector: tuple[str, list[bytes]]
) -> None:
    pytest.importorskip("opentelemetry.sdk")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    endpoint, received = collector
    with running(settings.model_copy(update={"detail": "fast", "otlp_endpoint": endpoint})) as (client, _):
        headers = {"Content-Type": "image/png", "traceparent": f"00-{TRACE}-{PARENT}-01"}
        timings = client.post("/parse", content=png, headers=headers).json()["timings_ms"]
        client.post("/v2/models/figures/infer", json={})
        client.get("/livez")
    spans = {span.name: span for span in read_spans(received)}
    assert set(spans) == {"POST /parse", "POST /v2/models/{name}/infer", "decode", "queue", "infer", "encode"}
    request = spans["POST /parse"]
    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT)
    assert status_of(request) == 200
    assert status_of(spans["POST /v2/models/{name}/infer"]) == 422
    for stage in ("decode", "queue", "infer", "encode"):
        span = spans[stage]
        assert span.parent_span_id == request.span_id
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(timings[stage], abs=0.01)
        assert request.start_time_unix_nano <= span.start_time_unix_nano + 5e6
        assert span.end_time_unix_nano <= request.end_time_unix_nano


def status_of(span: Any) -> int:
    return next(a.value.int_value for a in span.attributes if a.key == "http.response.status_code")


def test_without_an_address_there_is_no_tracing(settings: Settings) -> None:
    assert Lifecycle(settings).tracing is None


def test_other_variables_open_no_connection(
    settings: Settings, png: bytes, collector: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    endpoint, received = collector
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.removesuffix("/v1/traces"))
    with running(settings.model_copy(update={"detail": "fast"})) as (client, _):
        assert client.post("/parse", content=png, headers={"Content-Type": "image/png"}).status_code == 200
    for module, name in (("opentelemetry.trace", "tracer"), ("opentelemetry.metrics", "meter")):
        provider = getattr(importlib.import_module(module), f"get_{name}_provider")()
        assert "Proxy" in type(provider).__name__  # nobody set one that exports
    assert received == []


def test_without_the_package_the_remedy_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SettingsError, match=r"pip install 'humanparse\[otel\]'"):
        Lifecycle(settings.model_copy(update={"otlp_endpoint": "http://127.0.0.1:4318/v1/traces"}))


@pytest.mark.parametrize("value", ["collector:4318", "http://collector:4318", "file:///etc/passwd"])
def test_an_address_is_checked_at_the_start(value: str) -> None:
    with pytest.raises(SettingsError, match="HUMANPARSE_OTLP_ENDPOINT"):
        load_settings({"HUMANPARSE_OTLP_ENDPOINT": value})
