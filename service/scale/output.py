"""Keeps a batch's output folder, here or in an object store, such that a run that was stopped can go on.

OUT/plan.parquet      written first: which images each shard has, and by which model
OUT/people/N.parquet  shard N, under this name once it is whole
OUT/manifest.json     written last: a folder that has it is complete
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from model.legacy_names import BATCH, current
from service.commands.results import write_together
from service.scale.sources import Unit
from service.scale.table import NOTES, read_notes

PLAN, MANIFEST, PEOPLE = "plan.parquet", "manifest.json", "people"
SHARD = re.compile(r"(\d{6,})\.parquet")
PLAN_SCHEMA = pa.schema({"uri": pa.string(), "row_group": pa.int32(), "images": pa.int64()})


class Done(NamedTuple):
    """What became of a shard."""

    shard: int
    images: int
    people: int
    errors: int  # images that could not be parsed


class Output:
    """The output folder. Files appear whole or not at all, whoever is killed when."""

    def __init__(self, uri: str) -> None:
        self._fs, self._path = fsspec.core.url_to_fs(uri)
        self._local = "file" in self._fs.protocol

    def has(self, name: str) -> bool:
        """Whether there is a file of the name."""
        return bool(self._fs.exists(f"{self._path}/{name}"))

    def open(self, name: str) -> IO[bytes]:
        """Open a file to read."""
        file: IO[bytes] = self._fs.open(f"{self._path}/{name}", "rb")
        return file

    def write(self, name: str, data: bytes) -> None:
        """Write a file: locally by renaming a temporary one; an object store shows whole objects alone."""
        path = f"{self._path}/{name}"
        if self._local:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            write_together({Path(path): data})
        else:
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._fs.pipe_file(path, data)

    def shards(self) -> dict[int, int]:
        """Return the bytes of each shard that is done."""
        folder = f"{self._path}/{PEOPLE}"
        files = self._fs.ls(folder, detail=True) if self._fs.exists(folder) else []
        found = ((SHARD.fullmatch(file["name"].rpartition("/")[2]), file["size"]) for file in files)
        return {int(match[1]): size for match, size in found if match}

    def notes(self, shard: int) -> dict[str, Any]:
        """Return the notes of a shard that is done."""
        with self.open(shard_name(shard)) as file:
            return dict(current(read_notes(file), BATCH))


def shard_name(shard: int) -> str:
    """Return the name of a shard's file below the output folder."""
    return f"{PEOPLE}/{shard:06}.parquet"


class Plan:
    """Which images each shard has, and `notes` on what else its rows depend on. One row group is a shard."""

    def __init__(self, data: bytes) -> None:
        self._file = pq.ParquetFile(io.BytesIO(data))
        self.notes: dict[str, Any] = json.loads(self._file.schema_arrow.metadata[NOTES])
        self.shards: int = self._file.num_row_groups

    @classmethod
    def read(cls, output: Output) -> Plan:
        """Read the plan of an output folder."""
        with output.open(PLAN) as file:
            return cls(file.read())

    @classmethod
    def make(cls, shards: Iterable[list[Unit]], notes: dict[str, Any], output: Output) -> Plan:
        """Write the plan of a new output folder."""
        file = io.BytesIO()
        schema = PLAN_SCHEMA.with_metadata({NOTES: json.dumps(notes).encode()})
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for units in shards:
                writer.write_table(pa.Table.from_pylist([unit._asdict() for unit in units], schema), len(units))
        output.write(PLAN, file.getvalue())
        return cls(file.getvalue())

    def units(self, shard: int) -> list[Unit]:
        """Return what a shard reads."""
        return [Unit(**row) for row in current(self._file.read_row_group(shard).to_pylist(), BATCH)]

    def images(self) -> int | None:
        """Return the number of images; None if there are tars, which nobody has read yet."""
        counts = self._file.read(columns=[*BATCH, *BATCH.values()]).column(0)
        return None if counts.null_count else sum(counts.to_pylist())
