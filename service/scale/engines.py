"""Says what runs a batch's shards, and does so in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from service.parsing.loading import load_parser
from service.parsing.parser import ImageParser
from service.scale.output import Done, Output
from service.scale.shards import ShardParser, describe
from service.settings import Settings


class Engine(Protocol):
    """What runs the shards of a batch."""

    def model(self, settings: Settings) -> dict[str, str]:
        """Return what `auto` comes to where the shards will be parsed (`shards.describe`)."""

    def parse(self, shards: Sequence[int], output: Output, settings: Settings) -> Iterator[Done]:
        """Yield each shard once it is written, in any order."""


class LocalEngine:
    """One parser in this process, with all cores."""

    def __init__(self) -> None:
        self._parser: ImageParser | None = None

    def model(self, settings: Settings) -> dict[str, str]:
        """Load the parser and describe it."""
        self._parser = load_parser(settings, repeatable=True)
        return describe(self._parser)

    def parse(self, shards: Sequence[int], output: Output, settings: Settings) -> Iterator[Done]:
        """Parse the shards in order."""
        worker = ShardParser(self._parser or load_parser(settings, repeatable=True), output, settings)
        yield from map(worker.parse, shards)
