"""Splits a multipart/form-data body into its parts, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header


@dataclass
class Part:
    """One field of a form."""

    name: str = ""
    file_name: str = ""  # as it was sent
    transfer_encoding: str = ""  # lower case; empty without one
    buffer: bytearray = field(default_factory=bytearray)

    @property
    def content(self) -> bytes:
        """Return the bytes of the field."""
        return bytes(self.buffer)


def read_multipart(body: bytes, boundary: bytes, max_parts: int) -> list[Part]:
    """Return the parts of a whole body, in their order. Raises ValueError if it is damaged or has too many parts."""
    reader = _Reader(max_parts)
    callbacks = {
        "on_part_begin": reader.begin_part,
        "on_header_field": reader.header_field,
        "on_header_value": reader.header_value,
        "on_header_end": reader.end_header,
        "on_part_data": reader.part_data,
        "on_end": reader.end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise ValueError(str(error)) from error
    if not reader.ended:
        raise ValueError("it ends before its last boundary")
    return reader.parts


class _Reader:
    """Collects the parts; the callbacks get pieces of the body as (data, start, end)."""

    def __init__(self, max_parts: int) -> None:
        self._max_parts = max_parts
        self.parts: list[Part] = []
        self.ended = False
        self._name, self._value = bytearray(), bytearray()

    def begin_part(self) -> None:
        if len(self.parts) == self._max_parts:
            raise ValueError(f"it has more than {self._max_parts} parts")
        self.parts.append(Part())

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def end_header(self) -> None:
        header, value = self._name.lower(), bytes(self._value)
        if header == b"content-disposition":
            _, options = parse_options_header(value)
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            self.parts[-1].file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        elif header == b"content-transfer-encoding":
            self.parts[-1].transfer_encoding = value.decode("latin-1").strip().lower()
        self._name, self._value = bytearray(), bytearray()

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].buffer += data[start:end]

    def end(self) -> None:
        self.ended = True
