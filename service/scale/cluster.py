"""Starts or joins a Ray cluster, with Ray's usage reports off."""

from __future__ import annotations

import logging
import os

import ray

ADDRESS = "RAY_ADDRESS"
OBJECT_STORE_BYTES = 128 * 2**20  # images do not pass through it
# For the processes of a cluster that is started from here; elsewhere, who starts the nodes sets these.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports to its makers otherwise
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "service.scale.proxy.middlewares",
}


def connect() -> None:
    """Join the cluster of RAY_ADDRESS, or start one of this machine alone that ends with this process."""
    os.environ.update(ENVIRONMENT)
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    if has_address():
        ray.init(log_to_driver=False, logging_level=logging.WARNING)
    else:
        ray.init(
            "local",
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.WARNING,
        )


def has_address() -> bool:
    """Whether the environment names a cluster."""
    return bool(os.environ.get(ADDRESS))
