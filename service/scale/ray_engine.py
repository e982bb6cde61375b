"""Runs a batch's shards as actors of Ray Data, on every core of a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import ray
import ray.data
from ray.exceptions import RayTaskError

from service.parsing.loading import load_parser
from service.scale.cluster import connect
from service.scale.output import Done, Output
from service.scale.shards import ShardParser, describe
from service.settings import Settings


class RayEngine:
    """One parser a worker, as many workers as the cluster has room for, at most `workers`."""

    def __init__(self, workers: int | None, gpus: float) -> None:
        connect()
        self._workers, self._gpus = workers, gpus

    def model(self, settings: Settings) -> dict[str, str]:
        """Load a parser on a machine that will have workers, and describe it."""
        settings = _on_cluster(settings)
        task = ray.remote(num_cpus=settings.threads, num_gpus=self._gpus)(_load_and_describe)
        with _plain_errors():
            model: dict[str, str] = ray.get(task.remote(settings.model_dump()))
        return model

    def parse(self, shards: Sequence[int], output: Output, settings: Settings) -> Iterator[Done]:
        """Parse the shards by a pool of actors; Ray starts those anew that die, and what they had begun."""
        settings = _on_cluster(settings)
        ray.data.DataContext.get_current().enable_progress_bars = False  # `batch` has its own
        one_each = ray.data.from_items([{"shard": s} for s in shards], override_num_blocks=len(shards))
        done = one_each.map_batches(
            _Worker,
            fn_constructor_args=(output, settings.model_dump()),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=self._workers),
            num_cpus=settings.threads,
            num_gpus=self._gpus,
        )
        with _plain_errors():
            for row in done.iter_rows():
                yield Done(**row)


class _Worker:
    """A process of Ray Data: it parses a shard a call."""

    def __init__(self, output: Output, settings: dict[str, Any]) -> None:
        given = Settings(**settings)
        self._shards = ShardParser(load_parser(given, repeatable=True), output, given)

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[int]]:
        done = self._shards.parse(int(batch["shard"][0]))
        return {name: [value] for name, value in done._asdict().items()}


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Raise what a worker raised, without Ray's account of where."""
    try:
        yield
    except RayTaskError as error:
        raise error.cause from None


def _on_cluster(settings: Settings) -> Settings:
    """Return the settings for other machines, where the bundle has the same path; 0 threads: one a worker."""
    return settings.model_copy(update={"bundle": settings.bundle.resolve(), "threads": settings.threads or 1})


def _load_and_describe(settings: dict[str, Any]) -> dict[str, str]:
    return describe(load_parser(Settings(**settings)))
