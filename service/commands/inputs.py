"""Finds the images that a command line names: files, folders, patterns and standard input."""

from __future__ import annotations

import glob
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

STDIN = "-"
# TIFF is not read, nor HEIC without the extra `heif`, but a folder of them should not look empty: each is reported.
ENDINGS = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .avif .gif .bmp .dib .heic .heif .tif .tiff".split()  # noqa: SIM905
)


class UsageError(ValueError):
    """A command line that cannot be followed. The message names the remedy."""


@dataclass(frozen=True)
class Input:
    """An image to parse: `path` is None for standard input.

    `target` is the path of its results below the output folder, without their endings.
    """

    path: Path | None
    target: Path

    @property
    def name(self) -> str:
        """Return the name for messages and results."""
        return STDIN if self.path is None else str(self.path)


Renaming = Callable[[Sequence[Input]], list[Path]]


def find_inputs(arguments: Sequence[str], *, recursive: bool) -> list[Input]:
    """Return every image once, in the order of the arguments; images of a folder are sorted by name.

    An image of a folder has its target at the same place below the output folder, any other by its stem. Images that
    would share a target get their folder's name before it, or keep their ending.
    Raises UsageError for a folder or a pattern without images.
    """
    found: dict[Path | None, Input] = {}
    for argument in arguments:
        for one in _expand(argument, recursive):
            found.setdefault(None if one.path is None else one.path.resolve(), one)
    inputs = _apart(list(found.values()), _below_common_folder)
    inputs = _apart(inputs, lambda group: [i.target.with_name(Path(i.name).name) for i in group])
    for group in _by_target(inputs).values():
        if len(group) > 1:
            names = " and ".join(i.name for i in group)
            raise UsageError(f"{names} would share the results {group[0].target}.*: parse them one after the other")
    return inputs


def _expand(argument: str, recursive: bool) -> Iterator[Input]:
    path = Path(argument)
    if argument == STDIN:
        yield Input(None, Path("stdin"))
    elif path.is_dir():
        images = list(_images(path, recursive))
        if not images:
            remedy = "" if recursive else "; --recursive looks into its folders"
            raise UsageError(f"the folder {path} has no image{remedy}")
        yield from (Input(image, image.relative_to(path).with_suffix("")) for image in images)
    elif glob.has_magic(argument) and not path.exists():
        files = [match for match in map(Path, sorted(glob.glob(argument, recursive=True))) if match.is_file()]
        if not files:
            raise UsageError(f"no file matches {argument}")
        yield from (Input(file, Path(file.stem)) for file in files)
    else:
        yield Input(path, Path(path.stem))


def _images(folder: Path, recursive: bool) -> Iterator[Path]:
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if recursive and not f.startswith("."))
        for file in sorted(files):
            if Path(file).suffix.lower() in ENDINGS and not file.startswith("."):
                yield Path(root, file)


def _by_target(inputs: Sequence[Input]) -> dict[str, list[Input]]:
    groups = defaultdict(list)
    for one in inputs:
        groups[str(one.target).casefold()].append(one)  # some file systems do not tell A from a
    return groups


def _apart(inputs: list[Input], rename: Renaming) -> list[Input]:
    renamed: dict[Input, Input] = {}
    for group in _by_target(inputs).values():
        targets = rename(group) if len(group) > 1 else [one.target for one in group]
        renamed |= {one: replace(one, target=target) for one, target in zip(group, targets, strict=True)}
    return [renamed[one] for one in inputs]


def _below_common_folder(group: Sequence[Input]) -> list[Path]:
    folders = [Path(os.path.abspath(one.path)).parent if one.path else Path.cwd() for one in group]
    common = Path(os.path.commonpath(folders))
    return [folder.relative_to(common) / one.target.name for folder, one in zip(folders, group, strict=True)]
