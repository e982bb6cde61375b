"""Names of parts, joints and limbs per data set. Torch-free: the service reads it too.

Ids: part ids are 1..C (0 is background), joint and limb indices are 0-based.
Left and right are the person's own.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Any

from model.errors import InputError

BACKGROUND = 0
IGNORE = 255  # pixels whose label is unknown; never a category

RGB = tuple[int, int, int]


class TaxonomyError(InputError):
    """A taxonomy contradicts itself, or its name is unknown."""


@dataclass(frozen=True)
class Taxonomy:
    """Parts, joints and limbs of one data set.

    Invariants (checked on construction, `TaxonomyError` otherwise):
        The first K-1 `limbs` form a tree rooted at `limbs[0][0]`, every parent before its children:
        the head-to-foot order in which matched joints are grouped (paper, section 3.3). Further limbs are
        *bridges*: they only join fragments of a person whose tree is broken by an unseen joint.
        Flip pairs are disjoint, so flipping twice changes nothing.
    """

    name: str
    part_names: tuple[str, ...]
    part_flip_pairs: tuple[tuple[int, int], ...]
    palette: tuple[RGB, ...]  # one colour a part, background excluded
    joint_names: tuple[str, ...]
    joint_flip_pairs: tuple[tuple[int, int], ...]
    joint_sigmas: tuple[float, ...]  # OKS falloff, in units of sqrt(person area)
    limbs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        joints, parts = len(self.joint_names), len(self.part_names)
        if len(self.palette) != parts or len(self.joint_sigmas) != joints:
            raise TaxonomyError(f"{self.name}: palette and sigmas need one entry a part and a joint")
        if len(self.limbs) < joints - 1:
            raise TaxonomyError(f"{self.name}: {joints} joints need a tree of {joints - 1} limbs")
        seen = {self.limbs[0][0]}
        for parent, child in self.limbs[: joints - 1]:
            if parent not in seen or child in seen:
                raise TaxonomyError(f"{self.name}: limb {parent}-{child} breaks the head-to-foot tree")
            seen.add(child)
        for pairs, low, high in ((self.part_flip_pairs, 1, parts), (self.joint_flip_pairs, 0, joints - 1)):
            flat = [i for pair in pairs for i in pair]
            if len(flat) != len(set(flat)) or any(not low <= i <= high for i in flat):
                raise TaxonomyError(f"{self.name}: flip pairs {pairs} overlap or leave {low}..{high}")

    @property
    def tree_limbs(self) -> tuple[tuple[int, int], ...]:
        """The K-1 limbs of the tree, in grouping order."""
        return self.limbs[: len(self.joint_names) - 1]

    @property
    def part_flip(self) -> tuple[int, ...]:
        """Id after mirroring, indexed by part id 0..C (0 stays background)."""
        return _permutation(len(self.part_names) + 1, self.part_flip_pairs)

    @property
    def joint_flip(self) -> tuple[int, ...]:
        """Index after mirroring, indexed by joint."""
        return _permutation(len(self.joint_names), self.joint_flip_pairs)

    @property
    def limb_flip(self) -> tuple[int, ...]:
        """Index after mirroring, indexed by limb, whichever of its joints comes first."""
        ends = [frozenset(limb) for limb in self.limbs]
        return tuple(ends.index(frozenset(self.joint_flip[joint] for joint in limb)) for limb in ends)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; `from_dict` inverts it."""
        return {
            "name": self.name,
            "parts": [
                {"id": i + 1, "name": n, "color": list(c)}
                for i, (n, c) in enumerate(zip(self.part_names, self.palette, strict=True))
            ],
            "part_flip_pairs": [list(p) for p in self.part_flip_pairs],
            "joints": [
                {"id": i, "name": n, "sigma": s}
                for i, (n, s) in enumerate(zip(self.joint_names, self.joint_sigmas, strict=True))
            ],
            "joint_flip_pairs": [list(p) for p in self.joint_flip_pairs],
            "limbs": [list(limb) for limb in self.limbs],
        }

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> Taxonomy:
        """Read what `to_dict` wrote. Raises TaxonomyError or KeyError where it is incomplete."""
        return cls(
            name=value["name"],
            part_names=tuple(p["name"] for p in value["parts"]),
            part_flip_pairs=_pairs(value["part_flip_pairs"]),
            palette=tuple((int(p["color"][0]), int(p["color"][1]), int(p["color"][2])) for p in value["parts"]),
            joint_names=tuple(j["name"] for j in value["joints"]),
            joint_flip_pairs=_pairs(value["joint_flip_pairs"]),
            joint_sigmas=tuple(float(j["sigma"]) for j in value["joints"]),
            limbs=_pairs(value["limbs"]),
        )


def _pairs(value: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(a), int(b)) for a, b in value)


def _permutation(size: int, pairs: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    order = list(range(size))
    for a, b in pairs:
        order[a], order[b] = b, a
    return tuple(order)


def _hues(count: int) -> tuple[RGB, ...]:
    """`count` well-spread colours: golden-ratio hues, two brightness levels."""
    colours: list[RGB] = []
    for i in range(count):
        r, g, b = colorsys.hsv_to_rgb((i * 0.618034) % 1.0, 0.75 if i % 3 else 0.5, 0.95 if i % 2 else 0.75)
        colours.append((round(r * 255), round(g * 255), round(b * 255)))
    return tuple(colours)


DENSEPOSE_COCO = Taxonomy(
    name="densepose_coco",
    part_names=(
        "torso", "right_hand", "left_hand", "left_foot", "right_foot", "right_upper_leg", "left_upper_leg",
        "right_lower_leg", "left_lower_leg", "left_upper_arm", "right_upper_arm", "left_lower_arm",
        "right_lower_arm", "head",
    ),
    part_flip_pairs=((2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)),
    palette=(
        (66, 133, 244), (244, 143, 177), (255, 224, 130), (255, 179, 0), (216, 27, 96), (156, 39, 176),
        (0, 150, 136), (206, 147, 216), (128, 222, 193), (124, 179, 66), (239, 83, 80), (197, 225, 165),
        (255, 138, 101), (253, 216, 53),
    ),
    joint_names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee",
        "left_ankle", "right_ankle",
    ),
    joint_flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    joint_sigmas=(
        .026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089,
    ),
    limbs=(
        (0, 1), (0, 2), (1, 3), (2, 4), (0, 5), (0, 6), (5, 7), (7, 9), (6, 8), (8, 10), (5, 11), (6, 12),
        (11, 13), (13, 15), (12, 14), (14, 16),
        (5, 6), (11, 12), (3, 5), (4, 6),
    ),
)

MHP_V2 = Taxonomy(
    name="mhp_v2",
    part_names=(
        "cap/hat", "helmet", "face", "hair", "left-arm", "right-arm", "left-hand", "right-hand", "protector",
        "bikini/bra", "jacket/windbreaker/hoodie", "t-shirt", "polo-shirt", "sweater", "singlet", "torso-skin",
        "pants", "shorts/swim-shorts", "skirt", "stockings", "socks", "left-boot", "right-boot", "left-shoe",
        "right-shoe", "left-highheel", "right-highheel", "left-sandal", "right-sandal", "left-leg", "right-leg",
        "left-foot", "right-foot", "coat", "dress", "robe", "jumpsuit", "other-full-body-clothes", "headwear",
        "backpack", "ball", "bats", "belt", "bottle", "carrybag", "cases", "sunglasses", "eyewear", "glove",
        "scarf", "umbrella", "wallet/purse", "watch", "wristband", "tie", "other-accessary",
        "other-upper-body-clothes", "other-lower-body-clothes",
    ),
    part_flip_pairs=((5, 6), (7, 8), (22, 23), (24, 25), (26, 27), (28, 29), (30, 31), (32, 33)),
    palette=_hues(58),
    joint_names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ),
    joint_flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    joint_sigmas=(
        .089, .087, .107, .107, .087, .089, .087, .107, .079, .026, .062, .072, .079, .079, .072, .062,
    ),
    limbs=(
        (9, 8), (8, 7), (7, 6), (8, 12), (8, 13), (12, 11), (11, 10), (13, 14), (14, 15), (6, 2), (6, 3), (2, 1),
        (1, 0), (3, 4), (4, 5),
        (12, 13), (2, 3), (12, 2), (13, 3),
    ),
)

PASCAL_PERSON_PART = Taxonomy(
    name="pascal_person_part",
    part_names=("head", "torso", "upper_arms", "lower_arms", "upper_legs", "lower_legs"),
    part_flip_pairs=(),
    palette=((253, 216, 53), (66, 133, 244), (239, 83, 80), (255, 138, 101), (0, 150, 136), (128, 222, 193)),
    joint_names=(
        "forehead", "neck", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist",
        "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    ),
    joint_flip_pairs=((2, 3), (4, 5), (6, 7), (8, 9), (10, 11), (12, 13)),
    # None are published for this set; CrowdPose's values for the same joints stand in.
    joint_sigmas=(.079, .079, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089),
    limbs=(
        (0, 1), (1, 2), (1, 3), (2, 4), (4, 6), (3, 5), (5, 7), (1, 8), (1, 9), (8, 10), (10, 12), (9, 11),
        (11, 13),
        (2, 3), (8, 9), (2, 8), (3, 9),
    ),
)

# Taxonomy: joint: parts it may lie on, both without sides; a joint between two segments belongs to both.
_PARTS_AT_JOINTS = {
    "densepose_coco": {
        "nose": ("head",),
        "eye": ("head",),
        "ear": ("head",),
        "shoulder": ("torso", "upper_arm"),
        "elbow": ("upper_arm", "lower_arm"),
        "wrist": ("lower_arm", "hand"),
        "hip": ("torso", "upper_leg"),
        "knee": ("upper_leg", "lower_leg"),
        "ankle": ("lower_leg", "foot"),
    }
}

TAXONOMIES = {t.name: t for t in (MHP_V2, DENSEPOSE_COCO, PASCAL_PERSON_PART)}


def get_taxonomy(name: str) -> Taxonomy:
    """The built-in taxonomy of that name. Raises TaxonomyError, naming the known ones."""
    try:
        return TAXONOMIES[name]
    except KeyError:
        raise TaxonomyError(f"unknown taxonomy {name!r}; known: {', '.join(TAXONOMIES)}") from None


def parts_at_joints(taxonomy: Taxonomy, own_side: bool) -> tuple[tuple[int, ...], ...] | None:
    """Ids of the parts that each joint may lie on, of its own side or of either; None if nobody has said."""
    table = _PARTS_AT_JOINTS.get(taxonomy.name)
    if table is None:
        return None
    parts = [(i, *_side_and_name(part)) for i, part in enumerate(taxonomy.part_names, start=1)]
    joints = [_side_and_name(joint) for joint in taxonomy.joint_names]
    return tuple(
        tuple(i for i, of_part, part in parts if part in table[joint] and not (own_side and of_part not in ("", side)))
        for side, joint in joints
    )


def _side_and_name(name: str) -> tuple[str, str]:
    side, _, rest = name.partition("_")
    return (side, rest) if side in ("left", "right") else ("", name)
