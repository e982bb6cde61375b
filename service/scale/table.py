"""Lays the people of an image out as rows of a Parquet table: one a person."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.responses.schemas import UntimedResponse

NUMBERS = pa.list_(pa.float64())
RLE = pa.struct({"size": pa.list_(pa.int32()), "counts": pa.string()})
PART = pa.struct(
    {
        "category_id": pa.int32(),
        "name": pa.string(),
        "score": pa.float64(),
        "area": pa.int64(),
        "bbox": NUMBERS,
        "segmentation": RLE,
    }
)
IMAGE = {
    "image": pa.string(),  # path or URI; in a tar with the member's name, of a Parquet file #row
    "width": pa.int32(),
    "height": pa.int32(),
    "truncated": pa.bool_(),
    "warnings": pa.list_(pa.string()),
    "error_kind": pa.string(),  # of an image that could not be parsed; every column of a response is null then
    "error": pa.string(),
}
# As in the JSON of POST /parse. An image without people has one row in which they are null.
PERSON = {
    "id": pa.int32(),
    "score": pa.float64(),
    "bbox": NUMBERS,
    "area": pa.int64(),
    "keypoints": NUMBERS,
    "keypoint_scores": NUMBERS,
    "segmentation": RLE,
    "parts": pa.list_(PART),
}
SCHEMA = pa.schema(IMAGE | PERSON)
NOTES = b"humanparse"  # key of the file's own metadata

Row = dict[str, Any]


def rows_of(image: str, response: UntimedResponse) -> Iterator[Row]:
    """Yield an image's rows: one a person, or one without a person."""
    row: Row = {
        "image": image,
        "width": response.image.width,
        "height": response.image.height,
        "truncated": response.truncated,
        "warnings": response.warnings,
    }
    yield from (row | person.model_dump() for person in response.people)
    if not response.people:
        yield row


def error_row(image: str, kind: str, error: str) -> Row:
    """Return the row of an image that could not be parsed."""
    return {"image": image, "error_kind": kind, "error": error}


def to_parquet(rows: list[Row], notes: Mapping[str, Any]) -> bytes:
    """Return a Parquet file of the rows; the same rows and notes give the same bytes."""
    table = pa.Table.from_pylist(rows, SCHEMA).replace_schema_metadata({NOTES: json.dumps(notes).encode()})
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd")
    return file.getvalue()


def read_notes(file: IO[bytes]) -> dict[str, Any]:
    """Return the notes of a Parquet file that this program wrote."""
    notes: dict[str, Any] = json.loads(pq.ParquetFile(file).schema_arrow.metadata[NOTES])
    return notes
