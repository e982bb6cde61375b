"""Photos in folders: `images/`, `parts/`, `people/` and a COCO-keypoints `annotations.json` in each.

Beyond COCO, a photo names its `parts_file` and `people_file` (8-bit maps, value = id) and its `source`; a person its
`person_index` in the people map, `keypoints_source` and `mask_source`.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.taxonomy import Taxonomy
from training.datasets.base import SYNTHETIC, Photo, PhotoDataset, read_image
from training.samples import Bool, DatasetError, Float32, Sample

ANNOTATIONS = "annotations.json"
GROUND_TRUTH = "ground_truth"


@dataclass(frozen=True, kw_only=True)
class FolderPhoto(Photo):
    """A photo, its files and people. Arrays as in `Sample`."""

    image: Path
    parts: Path
    people: Path
    original_id: str  # names the photo across data sets; of a rendered frame, its own key
    background: str  # of a rendered frame, the original id of the photo behind it; else empty
    ground_truth: bool  # every person's joints are human work
    keypoints: Float32
    joints_labelled: Bool
    has_mask: Bool
    boxes: Float32

    @property
    def person_count(self) -> int:
        """Annotated people."""
        return len(self.keypoints)


class FolderDataset(PhotoDataset):
    """Every photo of some folders, in the order of their annotation files.

    Raises DatasetError where an annotation file is missing, damaged, or of another taxonomy.
    """

    def __init__(self, roots: Sequence[Path], taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self.photos: list[FolderPhoto] = []
        for root in roots:
            self.photos += _read_annotations(Path(root), taxonomy)

    def load(self, index: int) -> Sample:
        """Read one photo and its maps (AVIF, JPEG or PNG). Raises DatasetError for a missing or broken file."""
        photo = self.photos[index]
        return Sample(
            image=read_image(photo.image, "RGB"),
            parts=read_image(photo.parts, None),
            people=read_image(photo.people, None),
            keypoints=photo.keypoints,
            joints_labelled=photo.joints_labelled,
            has_mask=photo.has_mask,
            boxes=photo.boxes,
            key=photo.key,
            source=photo.source,
        )

    def split(self, people: int = 150, negatives: int = 50) -> tuple[list[int], list[int]]:
        """Indices for training and for validation, by a rule that other photos in the folders cannot change.

        Validation holds `people` real photos with at least two people, all of whose joints are ground truth, and
        `negatives` photos that show nobody: those whose original id has the smallest SHA-256. Training holds the rest,
        except a photo with the same original id and rendered frames with a held-out photo behind them.
        """
        photos = self.photos
        real = [i for i, photo in enumerate(photos) if photo.source != SYNTHETIC]
        groups = [i for i in real if photos[i].person_count >= 2 and photos[i].ground_truth]
        empty = [i for i in real if photos[i].negative]

        def rank(i: int) -> str:
            return hashlib.sha256(photos[i].original_id.encode()).hexdigest()

        validation = sorted(groups, key=rank)[:people] + sorted(empty, key=rank)[:negatives]
        held = {photos[i].original_id for i in validation}
        training = [i for i, p in enumerate(photos) if p.original_id not in held and p.background not in held]
        return training, sorted(validation)


def _read_annotations(root: Path, taxonomy: Taxonomy) -> list[FolderPhoto]:
    path = root / ANNOTATIONS
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        joints = tuple(value["categories"][0]["keypoints"])
        parts = tuple(name.replace(" ", "_") for name in value["info"]["part_names"][1:])
        if joints != taxonomy.joint_names or parts != taxonomy.part_names:
            raise DatasetError(f"{path} has other parts or joints than {taxonomy.name}: choose its taxonomy")
        people: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for person in value["annotations"]:
            people[person["image_id"]].append(person)
        return [_photo(root, image, people[image["id"]], len(joints)) for image in value["images"]]
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing: name folders that were unpacked from the data set") from None
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error!r}): unpack its archive again") from error


def _photo(root: Path, image: dict[str, Any], people: list[dict[str, Any]], joints: int) -> FolderPhoto:
    people = sorted(people, key=lambda person: person["person_index"])
    if [person["person_index"] for person in people] != list(range(1, len(people) + 1)):
        raise DatasetError(f"{root / ANNOTATIONS}: people of {image['key']} are not numbered 1..n; number them so")
    keypoints = np.array([person["keypoints"] for person in people], np.float32).reshape(len(people), joints, 3)
    exact = np.array([person["keypoints_source"] == SYNTHETIC for person in people], bool)
    boxes = np.array([person["bbox"] for person in people], np.float32).reshape(len(people), 4)
    boxes[:, 2:] += boxes[:, :2]  # xywh to xyxy
    return FolderPhoto(
        image=root / image["file_name"],
        parts=root / image["parts_file"],
        people=root / image["people_file"],
        key=image["key"],
        source=image["source"],
        original_id=str(image.get("original_id", image["key"])),
        background=image.get("background", ""),
        negative=bool(image.get("negative", False)),
        ground_truth=all(person["keypoints_source"] == GROUND_TRUTH for person in people),
        keypoints=keypoints,
        joints_labelled=(keypoints[:, :, 2] > 0) | exact[:, None],
        has_mask=np.array([person["mask_source"] != "none" for person in people], bool),
        boxes=boxes,
    )
