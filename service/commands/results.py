"""Writes the results of one image, all or none, and never over a file that this program did not write."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from service.images.stamp import is_stamped

JSON = ".json"
PICTURES = (".parts.png", ".people.png", ".overlay.jpg")


class State(Enum):
    """State of an image's results in the output folder."""

    NEW = "new"
    DONE = "done"  # all results, of these bytes, by this bundle
    OUTDATED = "outdated"  # some, or of the image as it was, or by another bundle


class ForeignFileError(Exception):
    """A result would replace a file of somebody else. The message names the file and the remedy."""


@dataclass(frozen=True)
class Origin:
    """The image and the model that results come from; `detail` is None if any level will do."""

    file_name: str
    sha256: str
    model: tuple[str, str]  # name, version
    detail: str | None = None


class Results:
    """The result files of one image; `stem` is their path without endings."""

    def __init__(self, stem: Path) -> None:
        self._stem = stem

    def path(self, ending: str) -> Path:
        """Return the path of one of them."""
        return self._stem.with_name(self._stem.name + ending)

    def exist(self) -> bool:
        """Whether there is any."""
        return any(os.path.lexists(self.path(ending)) for ending in (JSON, *PICTURES))

    def read(self) -> dict[str, Any] | None:
        """Return the JSON result; None if there is none of this program."""
        return read_own_json(self.path(JSON), "people")

    def state(self, origin: Origin, *, overwrite: bool) -> State:
        """Compare the files with what would be written.

        Raises ForeignFileError for a file that this program did not write, and, unless `overwrite`, for results of
        another image.
        """
        for ending in PICTURES:
            picture = self.path(ending)
            if os.path.lexists(picture) and not (picture.is_file() and is_stamped(picture.read_bytes())):
                raise foreign(picture)
        found = self.read()
        if found is None:
            if os.path.lexists(self.path(JSON)):
                raise foreign(self.path(JSON))
            return State.OUTDATED if self.exist() else State.NEW
        if overwrite:
            return State.OUTDATED
        if found.get("sha256") != origin.sha256:
            if found.get("file_name") == origin.file_name:
                return State.OUTDATED
            whose = found.get("file_name", "another image")
            raise ForeignFileError(
                f"{self.path(JSON)} holds the results of {whose}: choose another --out or --overwrite"
            )
        model = found["model"]
        same = (model["name"], model["version"]) == origin.model and origin.detail in (None, model["detail"])
        return State.DONE if same and all(self.path(e).is_file() for e in PICTURES) else State.OUTDATED

    def write(self, contents: Mapping[str, bytes]) -> None:
        """Write the results by ending. If this fails, none of them is there, or none has changed. Raises OSError."""
        self._stem.parent.mkdir(parents=True, exist_ok=True)
        write_together({self.path(ending): content for ending, content in contents.items()})


def foreign(path: Path) -> ForeignFileError:
    """Return the error for a file that this program did not write."""
    return ForeignFileError(f"{path} was not written by humanparse: rename it or choose another --out")


def read_own_json(path: Path, key: str) -> dict[str, Any] | None:
    """Return a JSON object that this program wrote: it has `model` and the key. None for anything else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and key in value and isinstance(value.get("model"), dict) else None


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files under temporary names first: a full disk or Ctrl-C leaves no torn file. Raises OSError."""
    token = uuid.uuid4().hex  # on a shared disk, another machine may have a process of our number
    temporary = {path: path.with_name(f".humanparse-{token}-{number}.tmp") for number, path in enumerate(contents)}
    try:
        for path, content in contents.items():
            temporary[path].write_bytes(content)
        for path in contents:
            temporary[path].replace(path)
    finally:
        for path in temporary.values():
            with contextlib.suppress(OSError):
                path.unlink()
