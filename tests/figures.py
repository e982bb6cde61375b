"""Drawn people: jointed figures whose every label is exact, in any taxonomy, the same for the same seed.

They stand in for images wherever a test needs a labelled one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from model.taxonomy import Taxonomy
from training.data.samples import Sample, mask_boxes

# Segments of a body, far to near: name, the points between which it lies, half width as a share of body height.
SEGMENTS = (
    ("{}_foot", "{}_ankle", "{}_toe", 0.022),
    ("{}_lower_leg", "{}_knee", "{}_ankle", 0.028),
    ("{}_upper_leg", "{}_hip", "{}_knee", 0.040),
    ("torso", "pelvis", "chest", 0.095),
    ("{}_upper_arm", "{}_shoulder", "{}_elbow", 0.028),
    ("{}_lower_arm", "{}_elbow", "{}_wrist", 0.023),
    ("{}_hand", "{}_wrist", "{}_fingers", 0.022),
    ("head", "upper_neck", "forehead", 0.055),
)
SIDES = ("left", "right")

# Part name of a segment where the taxonomy does not call it by its own name; {} is the side.
PART_NAMES = {
    "densepose_coco": {},
    "mhp_v2": {
        "head": "face", "torso": "t-shirt", "{}_upper_arm": "{}-arm", "{}_lower_arm": "{}-arm", "{}_hand": "{}-hand",
        "{}_upper_leg": "pants", "{}_lower_leg": "{}-leg", "{}_foot": "{}-shoe",
    },
    "pascal_person_part": {
        "{}_upper_arm": "upper_arms", "{}_lower_arm": "lower_arms", "{}_hand": "lower_arms",
        "{}_upper_leg": "upper_legs", "{}_lower_leg": "lower_legs", "{}_foot": "lower_legs",
    },
}  # fmt: skip


def draw_figures(
    taxonomy: Taxonomy, size: tuple[int, int] = (256, 256), people: int = 3, seed: int = 0, height: float = 0.7
) -> Sample:
    """`people` figures side by side, later ones in front, overlapping where they are wide.

    Bodies are about `height` of the canvas's height. Joints hidden behind somebody have v = 1, those outside the
    canvas v = 0 and count as labelled.
    """
    rng = np.random.default_rng((seed, people))
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    shade = 90 + 60 * np.sin(columns / rng.uniform(20, 60)) * np.cos(rows / rng.uniform(20, 60))
    image = shade[..., None] + rng.uniform(-30, 30, 3)  # [H, W, 3]
    parts, owners = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    bodies = []
    for person in range(1, people + 1):
        tall = size[0] * height * rng.uniform(0.85, 1.15)
        x = size[1] * (person - 0.5 + rng.uniform(-0.1, 0.1)) / people
        body = _pose(rng, x, size[0] * rng.uniform(0.92, 0.97), tall)
        bodies.append(body)
        tint = rng.uniform(-40, 40, 3)
        for name, start, end, width in SEGMENTS:
            part_name = PART_NAMES[taxonomy.name].get(name, name)
            for side in SIDES if "{}" in start else SIDES[:1]:
                inside = _distance(columns, rows, body[start.format(side)], body[end.format(side)]) <= width * tall
                part = taxonomy.part_names.index(part_name.format(side)) + 1
                parts[inside], owners[inside] = part, person
                image[inside] = np.array(taxonomy.palette[part - 1]) + tint
    image += rng.normal(0, 4, image.shape)
    joints = len(taxonomy.joint_names)
    keypoints = [_keypoints(body, person, owners, taxonomy) for person, body in enumerate(bodies, start=1)]
    return Sample(
        image=np.clip(image, 0, 255).astype(np.uint8),
        parts=parts,
        people=owners,
        keypoints=np.array(keypoints, np.float32).reshape(people, joints, 3),
        joints_labelled=np.ones((people, joints), bool),
        has_mask=np.ones(people, bool),
        pseudo_mask=np.zeros(people, bool),
        boxes=mask_boxes(owners, people),
        key=f"figures_{seed}_{people}",
        source="figures",
    )


def write_folder(
    root: Path,
    samples: Sequence[Sample],
    taxonomy: Taxonomy,
    source: str = "coco-sports",
    fields: Sequence[dict[str, object]] = (),
) -> Path:
    """Write samples as `training.data.datasets.folders` reads them, in PNGs; their joints count as ground truth.

    `fields`, one for each sample, are added to the images' records.
    """
    kind = "synthetic" if source == "synthetic" else "ground_truth"
    images, people = [], []
    for folder in ("images", "parts", "people"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(samples):
        names = {folder: f"{folder}/{sample.key}.png" for folder in ("images", "parts", "people")}
        for folder, array in (("images", sample.image), ("parts", sample.parts), ("people", sample.people)):
            Image.fromarray(array).save(root / names[folder])
        images.append(
            {
                "id": number, "key": sample.key, "source": source, "original_id": number,
                "file_name": names["images"], "parts_file": names["parts"], "people_file": names["people"],
                "negative": len(sample.keypoints) == 0, **(fields[number] if fields else {}),
            }
        )  # fmt: skip
        for row, (x0, y0, x1, y1) in enumerate(sample.boxes.tolist()):
            people.append(
                {
                    "image_id": number, "person_index": row + 1, "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "keypoints": sample.keypoints[row].ravel().tolist(), "keypoints_source": kind,
                    "mask_source": kind if sample.has_mask[row] else "none",
                }
            )  # fmt: skip
    value = {
        "info": {"part_names": ["background", *taxonomy.part_names]},
        "categories": [{"keypoints": list(taxonomy.joint_names)}],
        "images": images,
        "annotations": people,
    }
    (root / "annotations.json").write_text(json.dumps(value))
    return root


Point = tuple[float, float]


def _pose(rng: np.random.Generator, x: float, ground: float, tall: float) -> dict[str, Point]:
    """Named points of a figure of height `tall` whose feet stand near (x, ground)."""
    facing = rng.choice([-1, 1])  # 1: towards the viewer, the left side at the right of the picture
    lean = rng.uniform(-0.08, 0.08)
    body: dict[str, Point] = {}

    def put(name: str, start: Point, length: float, angle: float) -> None:
        """A point `length` body heights away; angle 0 is down, positive to the right of the picture."""
        body[name] = (start[0] + length * tall * math.sin(angle), start[1] + length * tall * math.cos(angle))

    body["pelvis"] = (x, ground - 0.5 * tall)
    up = math.pi + lean
    put("chest", body["pelvis"], 0.22, up)
    put("thorax", body["pelvis"], 0.30, up)
    put("neck", body["thorax"], 0.03, up)
    put("upper_neck", body["thorax"], 0.07, up)
    put("nose", body["upper_neck"], 0.05, up)
    put("forehead", body["upper_neck"], 0.09, up)
    put("head_top", body["upper_neck"], 0.14, up)
    for side, sign in (("left", facing), ("right", -facing)):
        put(f"{side}_eye", body["nose"], 0.025, up - sign * 0.7)
        put(f"{side}_ear", body["nose"], 0.045, up - sign * 1.3)
        put(f"{side}_shoulder", body["thorax"], 0.10, sign * 1.45)
        put(f"{side}_hip", body["pelvis"], 0.055, sign * math.pi / 2)
        thigh = sign * rng.uniform(0.0, 0.3)
        shin = thigh * rng.uniform(0.0, 0.8)
        put(f"{side}_knee", body[f"{side}_hip"], 0.235, thigh)
        put(f"{side}_ankle", body[f"{side}_knee"], 0.225, shin)
        put(f"{side}_toe", body[f"{side}_ankle"], 0.04, sign * 1.0)
        arm = sign * rng.uniform(0.25, 1.6)
        forearm = arm + sign * rng.uniform(-0.3, 0.9)
        put(f"{side}_elbow", body[f"{side}_shoulder"], 0.16, arm)
        put(f"{side}_wrist", body[f"{side}_elbow"], 0.13, forearm)
        put(f"{side}_fingers", body[f"{side}_wrist"], 0.045, forearm)
    return body


def _distance(columns: np.ndarray, rows: np.ndarray, a: Point, b: Point) -> np.ndarray:
    """Distance of every pixel [H, W] to the segment from a to b."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    along = np.clip(((columns - a[0]) * dx + (rows - a[1]) * dy) / (dx**2 + dy**2), 0, 1)
    return np.hypot(columns - a[0] - along * dx, rows - a[1] - along * dy)


def _keypoints(body: dict[str, Point], person: int, owners: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """[K, 3] of one figure."""
    keypoints = np.zeros((len(taxonomy.joint_names), 3), np.float32)
    for k, name in enumerate(taxonomy.joint_names):
        x, y = body[name]
        column, row = round(x), round(y)
        if 0 <= row < owners.shape[0] and 0 <= column < owners.shape[1]:
            keypoints[k] = x, y, 2 if owners[row, column] == person else 1
    return keypoints
