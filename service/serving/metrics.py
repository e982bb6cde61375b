"""Counts and times for Prometheus: base units, an own registry, no label that grows with traffic."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from service.problems import TITLES, Problem
from service.serving.timing import TOTAL

# No default bucket set has 0.15, the promised time of a response.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.125, 0.15, 0.2, 0.3, 0.5, 1, 2.5, 5)
COUNTS = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
OUTCOMES = ("ok", "client_error", "rejected", "server_error", "cancelled")
REFUSALS = (429, 503, 504)  # the service's doing; other problems are the client's


class Metrics:
    """All metrics of `GET /metrics`."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        """`keys` are the names of the API keys."""
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.request_seconds = Histogram(
            "humanparse_request_duration_seconds",
            "From the last byte of an image to its response, status 200 only",
            buckets=SECONDS,
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "humanparse_stage_duration_seconds",
            "Stages of images with status 200: decode, queue, infer, encode",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.requests = Counter(
            "humanparse_requests", f"Images by outcome: {', '.join(OUTCOMES)}", ["outcome"], registry=registry
        )
        self.rejected = Counter(
            "humanparse_rejected", "Images refused under load: the problem's name", ["reason"], registry=registry
        )
        self.key_requests = Counter(
            "humanparse_key_requests", "Images accepted by the name of their API key", ["key"], registry=registry
        )
        self.cancelled = Counter("humanparse_cancelled", "Images whose client hung up", registry=registry)
        self.queue_depth = Gauge("humanparse_queue_depth", "Images admitted and not begun", registry=registry)
        self.queue_limit = Gauge("humanparse_queue_limit", "Images that may wait", registry=registry)
        self.inflight = Gauge("humanparse_inflight", "Requests being worked on", registry=registry)
        self.streams = Gauge("humanparse_streams", "WebSockets of /stream that are open", registry=registry)
        self.frames_dropped = Counter(
            "humanparse_stream_frames_dropped", "Frames that a newer one of their stream replaced", registry=registry
        )
        self.batch_size = Histogram(
            "humanparse_batch_size",
            "Images per inference of a runtime that runs batches; nothing for others",
            buckets=COUNTS,
            registry=registry,
        )
        self.people = Histogram(
            "humanparse_people_per_image", "People found in an image", buckets=COUNTS, registry=registry
        )
        self.backend_info = Gauge(
            "humanparse_backend_info", "1 for what is served", ["model", "version", "backend"], registry=registry
        )
        self.model_ready = Gauge("humanparse_model_ready", "1 once the model is warm and checked", registry=registry)
        # Every series is there from the start: rate() does not see the failure with which a counter appears.
        for outcome in OUTCOMES:
            self.requests.labels(outcome)
        for key in keys:
            self.key_requests.labels(key)
        for kind, (status, _) in TITLES.items():
            if status in REFUSALS:
                self.rejected.labels(kind)

    def observe(self, timings_ms: dict[str, float], people: int) -> None:
        """Record an image with the very times that its client got."""
        for stage, ms in timings_ms.items():
            histogram = self.request_seconds if stage == TOTAL else self.stage_seconds.labels(stage)
            histogram.observe(ms / 1e3)
        self.people.observe(people)

    def refuse(self, problem: Problem) -> None:
        """Record a refused image; 429, 503 and 504 are the service's doing, other problems the client's."""
        if problem.status in REFUSALS:
            self.rejected.labels(problem.kind).inc()
            self.requests.labels("rejected").inc()
        else:
            self.requests.labels("client_error").inc()

    def text(self) -> bytes:
        """Return the exposition format."""
        return generate_latest(self.registry)
