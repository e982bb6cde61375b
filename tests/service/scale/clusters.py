"""A Ray cluster of two nodes, which are processes of this machine, and what can happen to their workers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ray.cluster_utils import Cluster

from service.scale.cluster import ENVIRONMENT

BATCH_WORKER, REPLICA = "MapWorker", "ServeReplica"


class TwoNodes:
    """Two nodes with as many cores as they say; `environment` is for commands that are to use them."""

    def __init__(self, cluster: Cluster, environment: dict[str, str]) -> None:
        self.environment = environment
        self._raylets = {
            process.process.pid for node in cluster.list_all_nodes() for process in node.all_processes["raylet"]
        }

    def start(self, *arguments: object, **settings: object) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "service.cli", *map(str, arguments)]
        given = {f"HUMANPARSE_{name.upper()}": str(value) for name, value in settings.items()}
        return subprocess.Popen(command, env=self.environment | given)

    def workers(self, kind: str) -> list[int]:
        """Return the processes of this cluster's actors of a kind, by the titles that Ray gives them."""
        return [pid for pid, title in self._children() if title.startswith(f"ray::{kind}")]

    def kill(self, kind: str) -> int:
        """Kill one of them as the kernel would (SIGKILL); return its number."""
        pid = self.workers(kind)[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def _children(self) -> Iterator[tuple[int, str]]:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                title = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended meanwhile
                continue
            if parent in self._raylets:
                yield int(folder.name), title


@contextmanager
def two_nodes(environment: dict[str, str], cores: int = 2) -> Iterator[TwoNodes]:
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | environment | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])})
    node = {"num_cpus": cores, "object_store_memory": 2**27}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        cluster.add_node(**node)
        yield TwoNodes(cluster, os.environ | {"RAY_ADDRESS": cluster.address})
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
