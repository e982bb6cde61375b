"""Read and check a folder's `annotations.json`.

All fields but `file_name` and ids have defaults; `docs/own-data.md` lists them.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from model.taxonomy import IGNORE, TAXONOMIES, Taxonomy
from training.data.datasets.base import OWN, SYNTHETIC, ImageRecord
from training.data.licenses import image_license, read_license_list
from training.data.samples import Bool, DatasetError, Float32

ANNOTATIONS = "annotations.json"
GROUND_TRUTH, TEACHER = "ground_truth", "teacher"
TRAIN, VALIDATION = "train", "val"
NAMES_SHOWN = 5  # of names that differ between a file and a taxonomy
FACE = ("nose", "left_eye", "right_eye")
SHOULDERS = ("left_shoulder", "right_shoulder")

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FolderRecord(ImageRecord):
    """An image record with its files and n people. Arrays as in `Sample`."""

    image: Path
    parts: Path
    people: Path
    original_id: str  # identifies the image across data sets; of a synthetic image, its own key
    background: str  # of a synthetic image, the original id of its background image; else empty
    split: str  # "train" or "val" if the annotations decide; else empty
    keypoints: Float32
    joints_labelled: Bool
    has_mask: Bool
    pseudo_mask: Bool
    mask_assumed: Bool  # [n], the record does not say whether the person has a mask; `has_mask` is True
    boxes: Float32  # NaN if the annotations have none

    @property
    def person_count(self) -> int:
        """Number of annotated people."""
        return len(self.keypoints)

    @property
    def incomplete(self) -> bool:
        """True if masks or boxes must be looked up in the people map."""
        return bool(self.mask_assumed.any() or np.isnan(self.boxes).any())


def read_annotations(root: Path, taxonomy: Taxonomy) -> list[FolderRecord]:
    """Read the records of a folder's images, in the file's order.

    Raises DatasetError, naming the file and the image, if something is missing, damaged or of another taxonomy.
    """
    path = root / ANNOTATIONS
    value = _read_json(path)
    _check_names(path, value, taxonomy)
    try:
        images, annotations = list(value["images"]), list(value.get("annotations", []))
        numbers = Counter(image["id"] for image in images)
        people: dict[Any, list[Record]] = defaultdict(list)
        for person in annotations:
            if not person.get("iscrowd", 0):  # a crowd's pixels are 255 in the maps
                people[person["image_id"]].append(person)
    except (KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{path} is damaged: {_explain(error)}; compare it with docs/own-data.md") from error
    if repeated := [number for number, count in numbers.items() if count > 1]:
        raise DatasetError(f"{path}: image id {repeated[0]!r} is given twice; give each image its own id")
    if strangers := people.keys() - numbers.keys():
        raise DatasetError(
            f"{path}: no image has the image_id {min(strangers, key=str)!r} of an annotation; correct it"
        )

    marked = any(image.get("split") in (TRAIN, VALIDATION) for image in images)
    licenses = read_license_list(value.get("licenses"))
    records = []
    for image in images:
        try:
            record = _record(root, image, people[image["id"]], taxonomy, marked)
            records.append(replace(record, license=image_license(image, licenses)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            name = image.get("key", image.get("file_name", f"with id {image['id']!r}"))
            raise DatasetError(f"{path}: image {name}: {_explain(error)}; correct its record") from error
    keys = Counter(record.key for record in records)
    if twice := [key for key, count in keys.items() if count > 1]:
        raise DatasetError(f"{path}: two images have the key {twice[0]!r}; rename a file, or give each a `key`")
    return records


def folder_taxonomy(root: Path) -> Taxonomy:
    """Return the built-in taxonomy whose part names equal the folder's `info.part_names`.

    Raises DatasetError if the annotations are missing or damaged, have no part names, or those of no taxonomy.
    """
    path = root / ANNOTATIONS
    value = _read_json(path)
    parts = _part_names(path, value)
    if parts is None:
        raise DatasetError(f"{path} has no info.part_names to know its taxonomy by; write them, or name the taxonomy")
    for taxonomy in TAXONOMIES.values():
        if taxonomy.part_names == parts:
            return taxonomy
    nearest = max(TAXONOMIES.values(), key=lambda taxonomy: len(set(taxonomy.part_names) & set(parts)))
    raise DatasetError(f"{path} has the parts of no taxonomy; nearest is {_difference('parts', parts, nearest)}")


def _read_json(path: Path) -> Record:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: name folders that hold images/ and {ANNOTATIONS}") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error}): write or unpack it again") from error
    if not isinstance(value, dict):
        raise DatasetError(f"{path} is damaged: it holds no JSON object; compare it with docs/own-data.md")
    return value


def _part_names(path: Path, value: Record) -> tuple[str, ...] | None:
    """Return the names of parts 1..C; None if the file has none."""
    names = (value.get("info") or {}).get("part_names")
    if names is None:
        return None
    if not (isinstance(names, list) and names and names[0] == "background"):
        raise DatasetError(f"{path}: info.part_names must be a list that starts with 'background' (part 0)")
    return tuple(str(name).replace(" ", "_") for name in names[1:])


def _check_names(path: Path, value: Record, taxonomy: Taxonomy) -> None:
    categories = value.get("categories") or [{}]
    if len(categories) > 1:
        raise DatasetError(f"{path} has {len(categories)} categories; keep one, the person")
    parts, joints = _part_names(path, value), categories[0].get("keypoints")
    if parts is not None and parts != taxonomy.part_names:
        raise DatasetError(f"{path} has other parts: {_difference('parts', parts, taxonomy)}")
    if joints is not None and tuple(joints) != taxonomy.joint_names:
        raise DatasetError(f"{path} has other joints: {_difference('joints', tuple(joints), taxonomy)}")


def _difference(kind: str, names: Sequence[str], taxonomy: Taxonomy) -> str:
    """Describe how `names` differ from a taxonomy's, and the remedy."""
    wanted = taxonomy.part_names if kind == "parts" else taxonomy.joint_names
    sentences = []
    for said, ours, theirs in (("lacks", wanted, names), ("has besides", names, wanted)):
        if other := [name for name in ours if name not in theirs]:
            more = f" and {len(other) - NAMES_SHOWN} more" * (len(other) > NAMES_SHOWN)
            sentences.append(f"it {said} {', '.join(other[:NAMES_SHOWN])}{more}")
    if not sentences:  # the same names in another order, or one of them twice
        place = next((i for i, pair in enumerate(zip(names, wanted, strict=False)) if pair[0] != pair[1]), len(wanted))
        sentences.append(f"its {kind} come in another order from {names[place]!r} (place {place + 1}) on")
    return f"{taxonomy.name}, but {'; '.join(sentences)}: choose another taxonomy, or rename and renumber the {kind}"


def _record(root: Path, image: Record, people: list[Record], taxonomy: Taxonomy, marked: bool) -> FolderRecord:
    name = PurePosixPath(image["file_name"])
    if any("person_index" in person for person in people):
        people = sorted(people, key=lambda person: person["person_index"])
        if [person["person_index"] for person in people] != list(range(1, len(people) + 1)):
            raise ValueError("its people are not numbered 1..n by person_index; number them so, or leave it out")
    if len(people) >= IGNORE:
        raise ValueError(f"{len(people)} people; a map has room for {IGNORE - 1}")
    source = image.get("source", OWN)
    split = image.get("split", "")
    if split not in (
        TRAIN,
        VALIDATION,
    ):  # if some images have a split, the rest trains
        split = TRAIN if marked else ""
    key = str(image.get("key", name.stem))
    keypoints = np.array([_keypoints(i, p, taxonomy) for i, p in enumerate(people, 1)], np.float32)
    keypoints = keypoints.reshape(len(people), len(taxonomy.joint_names), 3)
    pseudo_labelled = np.array([person.get("keypoints_source") == TEACHER for person in people], bool)
    keypoints = _drop_hallucinated_faces(keypoints, pseudo_labelled, taxonomy)
    exact = np.array([person.get("keypoints_source") == SYNTHETIC for person in people], bool)
    boxes = np.array([_box(i, person) for i, person in enumerate(people, 1)], np.float32).reshape(len(people), 4)
    return FolderRecord(
        image=root / name,
        parts=root / image.get("parts_file", f"parts/{name.stem}.png"),
        people=root / image.get("people_file", f"people/{name.stem}.png"),
        key=key,
        source=source,
        original_id=str(image.get("original_id", key)),
        background=image.get("background", ""),
        split=split,
        # Own images without people are person-free; in other sources people may be unlabelled.
        negative=bool(image.get("negative", source == OWN and not people)),
        ground_truth=all(person.get("keypoints_source", GROUND_TRUTH) == GROUND_TRUTH for person in people),
        keypoints=keypoints,
        joints_labelled=(keypoints[:, :, 2] > 0) | exact[:, None],
        has_mask=np.array([person.get("mask_source") != "none" for person in people], bool),
        pseudo_mask=np.array([person.get("mask_source") == TEACHER for person in people], bool),
        mask_assumed=np.array(["mask_source" not in person for person in people], bool),
        boxes=boxes,
    )


def _keypoints(number: int, person: Record, taxonomy: Taxonomy) -> Float32:
    """Parse keypoints [K, 3]; all zero (not labelled) if the record has none."""
    joints = len(taxonomy.joint_names)
    values = person.get("keypoints") or [0] * 3 * joints
    if len(values) != 3 * joints:
        raise ValueError(f"person {number} has {len(values)} numbers in keypoints; {joints} joints have {3 * joints}")
    keypoints = np.array(values, np.float32).reshape(joints, 3)
    if not np.isfinite(keypoints).all() or not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise ValueError(f"person {number} has keypoints that are not x, y and v, with v 0, 1 or 2")
    return keypoints


def _drop_hallucinated_faces(keypoints: Float32, pseudo_labelled: Bool, taxonomy: Taxonomy) -> Float32:
    """Return keypoints [n, K, 3] with v = 0 for nose and eyes of `pseudo_labelled` people [n] seen from behind.

    Pose models predict a face for everybody. On the back of a head it is mirrored: the left eye lies left of the right
    one. In a profile the eyes coincide and may be mirrored too, but the nose is correct: labelled shoulders that are
    not mirrored keep the face. A profile with mirrored shoulders loses it, since no label is better than a wrong one.
    Ears stay: they are visible from behind.
    """
    names = taxonomy.joint_names
    if not {*FACE, *SHOULDERS} <= set(names):
        return keypoints
    face, shoulders = [names.index(name) for name in FACE], [names.index(name) for name in SHOULDERS]

    def given(pair: list[int]) -> Bool:
        return np.logical_and.reduce(keypoints[:, pair, 2] > 0, axis=1)  # [n]

    def mirrored(pair: list[int]) -> Bool:
        return np.diff(keypoints[:, pair, 0]).ravel() > 0  # [n], left of the pair is left in the image

    eyes = face[1:]
    back = given(eyes) & mirrored(eyes) & (~given(shoulders) | mirrored(shoulders))  # [n]
    cleared = keypoints.copy()
    cleared[:, face] *= ~(pseudo_labelled & back)[:, None, None]
    return cleared


def _box(number: int, person: Record) -> Float32:
    """Parse a box [4], x0, y0, x1, y1; NaN if the record has none."""
    if person.get("bbox") is None:
        return np.full(4, np.nan, np.float32)
    box = np.array(person["bbox"], np.float32)
    if box.shape != (4,) or not np.isfinite(box).all() or (box[2:] <= 0).any():
        raise ValueError(f"person {number} has the bbox {person['bbox']}; write [x, y, width, height] in pixels")
    box[2:] += box[:2]
    return box


def _explain(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
