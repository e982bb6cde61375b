"""Parses one shard of images into one Parquet file."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from model.manifest import GRAPH
from service.images.header import ImageError
from service.images.stamp import is_stamped
from service.parsing.parser import ImageParser, Prepared
from service.responses.encoding import build_response
from service.responses.schemas import UntimedResponse
from service.runtimes.types import BackendError
from service.scale.output import Done, Output, Plan, shard_name
from service.scale.sources import SourceImage, images_of
from service.scale.table import Row, error_row, rows_of, to_parquet
from service.settings import Settings

A = TypeVar("A")
B = TypeVar("B")
AHEAD = 2  # images a thread that are read and decoded before their turn


class ForeignModelError(BackendError):
    """A worker has another bundle or runtime than the plan names."""


def describe(parser: ImageParser) -> dict[str, str]:
    """Return the model that rows depend on: graph, runtime, precision and level of detail."""
    manifest, backend = parser.manifest, parser.backend
    return {
        "name": manifest.name,
        "version": manifest.version,
        "graph": manifest.sha256[GRAPH],
        "backend": backend.name,
        "precision": backend.precision,
        "detail": parser.detail,
    }


class ShardParser:
    """Parses shards of a plan, one after the other; the next images are read and decoded meanwhile.

    Raises ForeignModelError if the parser is not the plan's.
    """

    def __init__(self, parser: ImageParser, output: Output, settings: Settings) -> None:
        self._parser, self._output = parser, output
        self._plan = Plan.read(output)
        self._model, planned = describe(parser), self._plan.notes["model"]
        if self._model != planned:
            raise ForeignModelError(f"the output folder was begun with {planned}, but this machine has {self._model}")
        self._max_bytes = settings.max_bytes
        self._depth = AHEAD * settings.decode_threads
        self._decoding = ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decode")
        self._inferring = ThreadPoolExecutor(parser.backend.parallel, thread_name_prefix="infer")

    def parse(self, shard: int) -> Done:
        """Write a shard. Raises OSError if it cannot be written."""
        images = images_of(self._plan.units(shard), self._plan.notes["image_column"], self._max_bytes)
        rows: list[Row] = []
        number = people = errors = 0
        prepared = _ahead(self._decoding, self._prepare, images, self._depth)
        for (image, _), result in _ahead(self._inferring, self._answer, prepared, self._parser.backend.parallel):
            number += 1
            if isinstance(result, UntimedResponse):
                people += len(result.people)
                rows += rows_of(image.name, result)
            else:
                errors += 1
                rows.append(result)
        done = Done(shard, number, people, errors)
        notes: dict[str, Any] = done._asdict() | {"model": self._model}
        self._output.write(shard_name(shard), to_parquet(rows, notes))
        return done

    def _prepare(self, image: SourceImage) -> Prepared | Row:
        try:
            data = image.read()
            if is_stamped(data):
                return error_row(image.name, "left-out", "a picture of humanparse")
            return self._parser.prepare(data)
        except ImageError as error:
            return error_row(image.name, error.kind, str(error))
        except OSError as error:
            return error_row(image.name, "unreadable", error.strerror or str(error))

    def _answer(self, item: tuple[SourceImage, Prepared | Row]) -> UntimedResponse | Row:
        _, prepared = item
        if not isinstance(prepared, Prepared):
            return prepared
        return build_response(self._parser, self._parser.infer(prepared), "rle", request_id="")


def _ahead(pool: ThreadPoolExecutor, work: Callable[[A], B], items: Iterable[A], depth: int) -> Iterator[tuple[A, B]]:
    """Yield each item with its result, in order, while the pool works on the next ones."""
    waiting = deque[tuple[A, Future[B]]]()
    for item in items:
        waiting.append((item, pool.submit(work, item)))
        if len(waiting) > depth:
            first, future = waiting.popleft()
            yield first, future.result()
    yield from ((item, future.result()) for item, future in waiting)
