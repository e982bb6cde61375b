"""Starts or joins a Ray cluster, with Ray's usage reports off."""

from __future__ import annotations

import logging
import os

import ray

from service.runtimes.types import BackendError

ADDRESS = "RAY_ADDRESS"
OBJECT_STORE_BYTES = 128 * 2**20  # images do not pass through it
# For the processes of a cluster that is started from here; elsewhere, who starts the nodes sets these.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports to its makers otherwise
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "service.scale.proxy.middlewares",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # in the 5 of Ray Serve a busy machine does not start a proxy
}


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start one of this machine alone that ends with this process.

    Raises BackendError if there is none.
    """
    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    alone = {"address": "local", "include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES}
    try:
        ray.init(**({} if has_address() else alone), log_to_driver=False, logging_level=logging.WARNING)
    except Exception as error:  # Ray raises nothing narrower where its processes do not come up in time
        raise BackendError(f"Ray does not start, or cannot be joined: {error}") from error


def has_address() -> bool:
    """Whether the environment names a cluster."""
    return bool(os.environ.get(ADDRESS))
