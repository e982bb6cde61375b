"""Keeps the phase of the server (starting, ready, draining, stopping) and the objects that live as long as it does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path

from model.manifest import BundleError
from service.parsing.loading import load_parser
from service.parsing.parser import ImageParser
from service.problems import Problem
from service.runtimes.types import BackendError
from service.serving.metrics import Metrics
from service.serving.worker import InferenceWorker
from service.settings import Settings, SettingsError

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
    """The only state of the app. All methods run in the event loop."""

    def __init__(self, settings: Settings, on_failure: Callable[[], None] | None = None) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.phase = Phase.STARTING
        self.pool = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="codec")
        self.stream_slots = asyncio.Semaphore(settings.stream_limit)
        self.api_key = _read_key(settings.api_key_file)
        self._on_failure = on_failure
        self._parser: ImageParser | None = None
        self._worker: InferenceWorker | None = None
        self.metrics.queue_limit.set(settings.queue_limit)
        self.metrics.queue_depth.set_function(lambda: self._worker.waiting if self._worker else 0)

    async def load(self) -> None:
        """Make the parser in a thread, so that /livez answers meanwhile; on failure call `on_failure`."""
        try:
            parser = await asyncio.get_running_loop().run_in_executor(self.pool, load_parser, self.settings)
        except (BundleError, BackendError) as error:
            log.error("cannot serve: %s", error)
            self._fail()
        except Exception:
            log.exception("cannot serve")
            self._fail()
        else:
            self._parser = parser
            self._worker = InferenceWorker(self.settings.queue_limit, parser.seconds)
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
        """End the threads."""
        if self._worker is not None:
            self._worker.close()
        self.pool.shutdown(cancel_futures=True)

    def serving(self) -> tuple[ImageParser, InferenceWorker]:
        """Return parser and worker while images are accepted. Raises Problem "not-ready"."""
        if self._parser is None or self._worker is None or self.phase not in (Phase.READY, Phase.DRAINING):
            raise Problem("not-ready", f"the service is {self.phase.value}", retry_after=RETRY_SECONDS)
        return self._parser, self._worker

    def _enter(self, phase: Phase) -> None:
        self.phase = phase
        self.metrics.model_ready.set(phase is Phase.READY)
        log.info("%s", phase.value)

    def _fail(self) -> None:
        self._enter(Phase.FAILED)
        if self._on_failure is not None:
            self._on_failure()


def _read_key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"HUMANPARSE_API_KEY_FILE cannot be read: {error}") from error
    if not key:
        raise SettingsError(f"HUMANPARSE_API_KEY_FILE: {file} is empty")
    return key
