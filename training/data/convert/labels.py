"""Labels of one image as an annotation tool exports them, before they are rasterized."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from model.taxonomy import BACKGROUND, IGNORE, Taxonomy
from training.data.samples import Bool, DatasetError

Joint = tuple[float, float, int]  # x, y in pixels, v

PERSON = "person"
SPECIAL = {"background": BACKGROUND, "ignore": IGNORE}


@dataclass(frozen=True)
class Region:
    """A mask under the tool's class name."""

    name: str
    mask: Bool  # [H, W]
    person: str | None = None  # key of its person; None: not specified


@dataclass
class Person:
    """A person in an image. A mask covers the visible person, parts or not."""

    mask: Bool | None = None  # [H, W]
    box: tuple[float, float, float, float] | None = None  # x0, y0, x1, y1 in pixels
    joints: dict[str, Joint] = field(default_factory=dict)  # by the tool's names


@dataclass
class ImageLabels:
    """Labels of one image. Later regions cover earlier ones, and all regions cover the masks of people."""

    image: Path
    size: tuple[int, int]  # height and width that the labels are for
    people: dict[str, Person] = field(default_factory=dict)  # by a key that is unique in the image
    regions: list[Region] = field(default_factory=list)
    joints: dict[str, Joint] = field(default_factory=dict)  # joints without a person
    void: Bool | None = None  # [H, W], pixels known to be unlabelled


@dataclass(frozen=True)
class Entry:
    """An image of an export whose labels are not read yet."""

    name: str
    reader: Callable[[], ImageLabels]

    def read(self) -> ImageLabels:
        """Read the labels. Raises DatasetError if they are broken or lack required fields."""
        try:
            return self.reader()
        except KeyError as error:
            raise DatasetError(f"a record lacks {error}, or it names no record; export it again") from error
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise DatasetError(f"a record is damaged ({error}); export it again") from error


class ClassMap:
    """Maps a tool's class names to the ids of a taxonomy and counts unknown names.

    Names match in any case, and with spaces or hyphens for underscores. `renamed` maps a tool's names to the
    taxonomy's, to "person", "background" or "ignore".
    """

    def __init__(self, taxonomy: Taxonomy, renamed: Mapping[str, str]) -> None:
        self._parts = SPECIAL | {_plain(name): i for i, name in enumerate(taxonomy.part_names, start=1)}
        self._joints = {_plain(name): i for i, name in enumerate(taxonomy.joint_names)}
        self._renamed = {_plain(theirs): _plain(ours) for theirs, ours in renamed.items()}
        self.unknown_parts: Counter[str] = Counter()
        self.unknown_joints: Counter[str] = Counter()
        for theirs, ours in renamed.items():
            if _plain(ours) not in {PERSON, *self._parts, *self._joints}:
                raise DatasetError(
                    f"{theirs!r} is mapped to {ours!r}, which {taxonomy.name} lacks; "
                    f"map it to a part or joint of it, to person, background or ignore"
                )

    def is_person(self, name: str) -> bool:
        """Return whether a region of this name is a whole person."""
        return self._ours(name) == PERSON

    def part(self, name: str) -> int:
        """Return the part id of a name: 0 for "background", 255 for "ignore" and for an unknown name."""
        part = self._parts.get(self._ours(name))
        if part is None:
            self.unknown_parts[name] += 1
            return IGNORE
        return part

    def joint(self, name: str) -> int | None:
        """Return the index of a joint; None if it is unknown or ignored."""
        ours = self._ours(name)
        if ours not in self._joints and ours not in SPECIAL:
            self.unknown_joints[name] += 1
        return self._joints.get(ours)

    def knows_background(self, names: list[str]) -> bool:
        """Return whether one of a tool's names means the background."""
        return any(self._ours(name) == "background" for name in names)

    def _ours(self, name: str) -> str:
        plain = _plain(name)
        return self._renamed.get(plain, plain)


def read_export(path: Path) -> Any:
    """Read the JSON of an export. Raises DatasetError if it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError:
        raise DatasetError(f"{path} is a folder; name the JSON file of the export") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); name the JSON file of the export") from error


def read_class_map(path: Path) -> dict[str, str]:
    """Read a JSON object from a tool's names to ours. Raises DatasetError for anything else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} cannot be read ({error}); write a JSON object of names") from error
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value.values()):
        raise DatasetError(f'{path} must be a JSON object of names like {{"skull": "head", "hat": "ignore"}}')
    return value


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
