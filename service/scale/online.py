"""Serves the application of `humanparse serve` on Ray Serve: replicas on many machines behind one address."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.exceptions import RayError
from ray.serve.config import AutoscalingConfig, BackpressureConfig

from model.cpu import cpu_count
from service.http.app import create_app
from service.scale.cluster import connect, has_address
from service.scale.metrics import MetricsOfAll
from service.serving.lifecycle import Lifecycle, Phase
from service.serving.listener import listen
from service.settings import Settings, load_settings

NAME = "humanparse"
ONGOING = 2.0  # requests at a replica, above which Serve starts another one
LOGS = {"enable_access_log": False}  # the application logs each request itself; Serve's two lines cost a twentieth
POLL_SECONDS = 0.1
SCRAPE_SECONDS = 5.0
log = logging.getLogger(__name__)


class Options(BaseModel):
    """The `args` of the application in a configuration file of Ray Serve."""

    model_config = ConfigDict(extra="forbid")

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1, description="between both, the number follows the requests at work or waiting")
    gpus: float = Field(0, ge=0, description="share of a GPU that a replica takes")
    settings: dict[str, Any] = Field(
        default_factory=dict, description="by name, as in HUMANPARSE_*, over which they win"
    )


def application(options: Options) -> serve.Application:
    """Return the application that `serve run` and a RayService name: service.scale.online:application.

    A replica takes as many cores as its runtime has threads (the setting `threads`; 0: as this machine has).
    Raises SettingsError.
    """
    settings = load_settings(**options.settings)
    threads = settings.threads or cpu_count()
    replica = serve.deployment(
        Replica,
        name="Replica",
        ray_actor_options={"num_cpus": threads, "num_gpus": options.gpus},
        autoscaling_config=AutoscalingConfig(
            min_replicas=options.min_replicas,
            max_replicas=max(options.min_replicas, options.max_replicas),
            target_ongoing_requests=ONGOING,
        ),
        # The application itself refuses what its queue cannot hold; Serve's own limits lie just behind.
        max_ongoing_requests=2 * settings.queue_limit + 8,
        max_queued_requests=settings.queue_limit,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=1),
        max_surge_percent=100,  # an update starts its replicas before the old ones stop
        max_constructor_retry_count=3,
        graceful_shutdown_timeout_s=60,  # for what it has accepted, whose bodies may take 30 s to arrive
        graceful_shutdown_wait_loop_s=0.5,
        logging_config=LOGS,
    )
    bundle = settings.bundle.resolve()
    return replica.bind(settings.model_copy(update={"threads": threads, "bundle": bundle}).model_dump())


@serve.ingress()
class Replica:
    """A process with one runtime behind the application of `humanparse serve`."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = Settings(**settings)

    def __serve_build_asgi_app__(self) -> FastAPI:  # Ray Serve's name; called after the constructor
        self._lifecycle = Lifecycle(self._settings)
        self._application = create_app(self._lifecycle)
        self._application.add_middleware(MetricsOfAll, gather=self._metrics_of_all)
        return self._application

    async def check_health(self) -> None:
        """Wait until the model is warm and checked, before which no request comes. Raises RuntimeError if it is not."""
        while self._lifecycle.phase is Phase.STARTING:
            await asyncio.sleep(POLL_SECONDS)
        if self._lifecycle.phase is Phase.FAILED:
            raise RuntimeError("the bundle cannot be served: the log of the replica says why")

    async def metrics(self) -> tuple[str, str]:
        """Return the replica's name and its metrics."""
        return serve.get_replica_context().replica_tag, self._lifecycle.metrics.text().decode()

    async def _metrics_of_all(self) -> dict[str, str]:
        context = serve.get_replica_context()
        others = serve.get_deployment_handle(context.deployment, context.app_name).broadcast("metrics")
        found = await others.results_async(timeout_s=SCRAPE_SECONDS, return_exceptions=True)
        return dict(one for one in found if not isinstance(one, BaseException))  # a replica may have just died


def serve_on_ray(settings: Settings, options: Options) -> int:
    """Deploy the application. Returns the exit status.

    On the cluster of RAY_ADDRESS it stays when this returns, and replaces the one before it without a pause. On a
    cluster of this machine alone, this waits for SIGTERM or SIGINT, and for the requests in flight.
    Raises SettingsError if the address cannot be listened on.
    """
    if not has_address():
        listen(settings.host, settings.port).close()  # told now, rather than in the log of a proxy
    connect()
    given = settings.model_dump(exclude_defaults=True, exclude={"host", "port"})
    try:
        address = {"host": settings.host, "port": settings.port}
        serve.start(proxy_location="EveryNode", http_options=address, logging_config=LOGS)
        serve.run(application(options.model_copy(update={"settings": given})), name=NAME)
    except (RuntimeError, RayError) as error:
        log.error("cannot serve: %s", error)
        return 1
    log.info("ready on http://%s:%s", settings.host, settings.port)
    if not has_address():
        _wait_for_signal()
        serve.delete(NAME)  # waits for what is in flight; `shutdown` alone ends the proxies over it
        serve.shutdown()
    ray.shutdown()
    return 0


def _wait_for_signal() -> None:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
