"""Keeps the phase of the server (starting, ready, draining, stopping) and the objects that live as long as it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum

from model.manifest import BundleError
from service.parsing.loading import load_parser
from service.parsing.parser import ImageParser
from service.problems import Problem
from service.runtimes.batching import BatchingBackend
from service.runtimes.types import BackendError
from service.serving.keys import read_keys
from service.serving.metrics import Metrics
from service.serving.scheduler import Scheduler
from service.serving.tracing import open_tracing
from service.settings import Settings

log = logging.getLogger(__name__)
RETRY_SECONDS = 5


class Phase(Enum):
    """starting -> ready -> draining (unready, still serving) -> stopping; starting -> failed."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    FAILED = "failed"


class Lifecycle:
    """The only state of the app. All methods run in the event loop, but `begin`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.on_failure: Callable[[], None] | None = None
        self.keys = read_keys(settings)
        self.metrics = Metrics(self.keys.names)
        self.phase = Phase.STARTING
        self.stream_slots = asyncio.Semaphore(settings.stream_limit)
        self.tracing = open_tracing(settings.otlp_endpoint)
        self._parser: ImageParser | None = None
        self._scheduler: Scheduler | None = None
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="loading")
        self._loading: Future[ImageParser] | None = None
        self.metrics.queue_limit.set(settings.queue_limit)
        self.metrics.queue_depth.set_function(lambda: self._scheduler.waiting if self._scheduler else 0)

    def begin(self) -> None:
        """Begin to make the parser in a thread: what the server itself needs is imported meanwhile."""
        self._loading = self._loader.submit(load_parser, self.settings)

    async def load(self) -> None:
        """Wait for the parser, while /livez answers; on failure call `on_failure`."""
        if self._loading is None:
            self.begin()
        assert self._loading
        try:
            parser = await asyncio.wrap_future(self._loading)
        except (BundleError, BackendError) as error:
            log.error("cannot serve: %s", error)
            self._fail()
        except Exception:
            log.exception("cannot serve")
            self._fail()
        else:
            if isinstance(parser.backend, BatchingBackend):
                parser.backend.on_batch = self.metrics.batch_size.observe
            self._parser = parser
            infer_seconds = {detail: parser.expected_seconds(detail) for detail in parser.levels}
            self._scheduler = Scheduler(
                self.settings.queue_limit, self.settings.decode_threads, infer_seconds, parser.backend.parallel
            )
            self.metrics.backend_info.labels(
                parser.manifest.name, parser.manifest.version, f"{parser.backend.name}-{parser.backend.precision}"
            ).set(1)
            if self.phase is Phase.STARTING:
                self._enter(Phase.READY)

    def drain(self) -> None:
        """Report unready, so that no more images are sent, and go on serving."""
        if self.phase in (Phase.STARTING, Phase.READY):
            self._enter(Phase.DRAINING)

    def stop(self) -> None:
        """Refuse new images; those in flight are finished."""
        self._enter(Phase.STOPPING)

    def close(self) -> None:
        """End the threads, but not one that still loads: nobody can stop it."""
        if self._scheduler is not None:
            self._scheduler.close()
        self._loader.shutdown(wait=False)
        if self.tracing is not None:
            self.tracing.close()

    @property
    def is_loading(self) -> bool:
        """Whether a thread is still loading the bundle."""
        return self._parser is None and self.phase is not Phase.FAILED

    def serving(self) -> tuple[ImageParser, Scheduler]:
        """Return parser and scheduler while images are accepted. Raises Problem "not-ready"."""
        if self._parser is None or self._scheduler is None or self.phase not in (Phase.READY, Phase.DRAINING):
            raise Problem("not-ready", f"the service is {self.phase.value}", retry_after=RETRY_SECONDS)
        return self._parser, self._scheduler

    def count(self, key: str | None) -> None:
        """Count an image of a key. Raises Problem "rate-limited"."""
        self.keys.take(key)
        if key is not None:
            self.metrics.key_requests.labels(key).inc()

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.metrics.model_ready.set(phase is Phase.READY)
        log.info("%s", phase.value)

    def _fail(self) -> None:
        self._enter(Phase.FAILED)
        if self.on_failure is not None:
            self.on_failure()
