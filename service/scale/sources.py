"""Finds images in folders, patterns, Parquet files and WebDataset tars, here or in an object store, and reads them."""

from __future__ import annotations

import glob
import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from service.commands.inputs import ENDINGS, UsageError
from service.images.header import ImageError, read_file

TARS = (".tar", ".tar.gz", ".tgz")
PARQUET = ".parquet"
ROWS_AT_ONCE = 16  # of a Parquet file in memory


class Unit(NamedTuple):
    """What a shard reads in one go: an image, a tar, or a row group of a Parquet file."""

    uri: str
    row_group: int | None = None
    images: int | None = None  # unknown of a tar before it is read


@dataclass(frozen=True)
class SourceImage:
    """An image of a source; `read` returns the bytes of its file and raises ImageError or OSError."""

    name: str
    read: Callable[[], bytes]


def plan_shards(sources: Sequence[str], shard_size: int, column: str) -> Iterator[list[Unit]]:
    """Yield what each shard reads: `shard_size` images, a tar, or a row group of a Parquet file.

    The order is that of the sources, sorted by name within each; a file that is named twice is read once.
    Raises UsageError for a source without images and a Parquet file without the column.
    """
    images: list[Unit] = []
    for uri in dict.fromkeys(uri for source in sources for uri in _files(source)):
        if _ending(uri) not in (*TARS, PARQUET):
            images.append(Unit(uri, images=1))
            if len(images) == shard_size:
                yield images
                images = []
        elif _ending(uri) == PARQUET:
            with _open(uri) as file:
                parquet = _with_images(pq.ParquetFile(file), uri, column)
                groups = [parquet.metadata.row_group(g).num_rows for g in range(parquet.num_row_groups)]
            yield from ([Unit(uri, group, rows)] for group, rows in enumerate(groups))
        else:
            yield [Unit(uri)]
    if images:
        yield images


def images_of(units: Sequence[Unit], column: str, max_bytes: int) -> Iterator[SourceImage]:
    """Yield the images of a shard. A tar or Parquet file that cannot be read on is an image that cannot be read."""
    for unit in units:
        try:
            if _ending(unit.uri) == PARQUET:
                yield from _in_parquet(unit, column, max_bytes)
            elif _ending(unit.uri) in TARS:
                yield from _in_tar(unit.uri, max_bytes)
            else:
                yield SourceImage(unit.uri, _reader(unit.uri, max_bytes))
        except (OSError, tarfile.TarError, pa.ArrowException) as error:
            yield SourceImage(unit.uri, _failing(ImageError("broken-image", f"the file cannot be read on: {error}")))


def _files(source: str) -> Iterator[str]:
    """Yield the files of a source that may hold images, sorted; local ones by their absolute path."""
    fs, path = fsspec.core.url_to_fs(source)
    if fs.isdir(path):
        found = [f for f in fs.find(path) if _ending(f) in (*ENDINGS, *TARS, PARQUET) and not _hidden(f, path)]
        if not found:
            raise UsageError(f"the folder {source} has neither images nor {', '.join((*TARS, PARQUET))}")
    elif glob.has_magic(source) and not fs.exists(path):
        found = [f for f in fs.glob(path) if fs.isfile(f)]
        if not found:
            raise UsageError(f"no file matches {source}")
    elif fs.exists(path):
        found = [path]
    else:
        raise UsageError(f"{source} does not exist")
    remote = "file" not in fs.protocol
    yield from (str(fs.unstrip_protocol(f)) if remote else f for f in sorted(found))


def _ending(name: str) -> str:
    lower = name.lower()
    return next((tar for tar in TARS if lower.endswith(tar)), PurePosixPath(lower).suffix)


def _hidden(name: str, below: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name[len(below) :]).parts)


def _open(uri: str) -> IO[bytes]:
    file: IO[bytes] = fsspec.open(uri, "rb").open() if "://" in uri else open(uri, "rb")  # noqa: SIM115
    return file


def _reader(uri: str, max_bytes: int) -> Callable[[], bytes]:
    def read() -> bytes:
        with _open(uri) as file:
            return read_file(file, max_bytes)

    return read


def _read_now(name: str, file: IO[bytes] | None, max_bytes: int) -> SourceImage:
    """Return an image out of a stream, which does not come back to it."""
    try:
        if file is None:
            raise ImageError("broken-image", "there is no image file")
        data = read_file(file, max_bytes)
    except ImageError as error:
        return SourceImage(name, _failing(error))
    return SourceImage(name, lambda: data)


def _failing(error: ImageError) -> Callable[[], bytes]:
    def read() -> bytes:
        raise error

    return read


def _in_tar(uri: str, max_bytes: int) -> Iterator[SourceImage]:
    with _open(uri) as file, tarfile.open(fileobj=file, mode="r|*") as tar:
        for member in tar:
            name = PurePosixPath(member.name)
            if not member.isfile() or name.suffix.lower() not in ENDINGS or name.name.startswith("."):
                continue
            yield _read_now(f"{uri}/{member.name}", tar.extractfile(member), max_bytes)


def _in_parquet(unit: Unit, column: str, max_bytes: int) -> Iterator[SourceImage]:
    with _open(unit.uri) as file:
        parquet = _with_images(pq.ParquetFile(file), unit.uri, column)
        group = unit.row_group or 0
        row = sum(parquet.metadata.row_group(g).num_rows for g in range(group))
        for batch in parquet.iter_batches(ROWS_AT_ONCE, row_groups=[group], columns=[column]):
            for value in batch.column(0):
                image = value.as_py()
                data = image["bytes"] if isinstance(image, dict) else image
                yield _read_now(f"{unit.uri}#{row}", None if data is None else io.BytesIO(data), max_bytes)
                row += 1


def _with_images(parquet: Any, uri: str, column: str) -> Any:
    """Return the Parquet file. Raises UsageError unless the column holds bytes, bare or as Hugging Face's images."""
    schema = parquet.schema_arrow
    kind = schema.field(column).type if column in schema.names else None
    if kind is not None and pa.types.is_struct(kind):
        kind = next((field.type for field in kind if field.name == "bytes"), None)
    if kind is None or not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise UsageError(
            f"{uri} has no column {column!r} of image files: name one with --image-column, of {', '.join(schema.names)}"
        )
    return parquet
