"""Sends OpenTelemetry traces to a collector: a span a request, with its stages below. Off unless an address is set."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from service.serving.timing import TOTAL
from service.settings import SettingsError
from service.version import version

SECONDS = 3  # for a collector to take spans: it also delays the end of a server whose collector is gone


class Tracing:
    """Spans of this server. Nothing of an image is in them, nor its name."""

    def __init__(self, endpoint: str) -> None:
        """Make the exporter; it connects when there are spans. Raises ImportError without OpenTelemetry."""
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        resource = Resource.create({"service.name": "humanparse", "service.version": version()})
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint, timeout=SECONDS)))
        self._tracer = self._provider.get_tracer("humanparse")
        self._trace = trace
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def request(self, headers: Mapping[str, str], attributes: Mapping[str, Any]) -> Iterator[Any]:
        """Hold the span of a request, below the client's of `traceparent`; it is current inside the block."""
        with self._tracer.start_as_current_span(
            "request",
            self._propagator.extract(headers),
            kind=self._trace.SpanKind.SERVER,
            attributes=dict(attributes),
        ) as span:
            yield span

    def mark_failed(self, span: Any) -> None:
        """Give a span the status of an error."""
        span.set_status(self._trace.StatusCode.ERROR)

    def record_stages(self, timings_ms: Mapping[str, float]) -> None:
        """Add the stages of an image that just ended below the current span: one after the other, as they ran."""
        start = time.time_ns() - int(timings_ms[TOTAL] * 1e6)
        for stage, ms in timings_ms.items():
            if stage != TOTAL:
                end = start + int(ms * 1e6)
                self._tracer.start_span(stage, start_time=start).end(end)
                start = end

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()


def open_tracing(endpoint: str) -> Tracing | None:
    """Return the tracing to an address, None for an empty one. Raises SettingsError without OpenTelemetry."""
    if not endpoint:
        return None
    try:
        return Tracing(endpoint)
    except ImportError as error:
        raise SettingsError(
            f"HUMANPARSE_OTLP_ENDPOINT is set, but {error.name} is not installed: pip install 'humanparse[otel]'"
        ) from error
