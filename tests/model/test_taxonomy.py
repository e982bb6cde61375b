from __future__ import annotations

import dataclasses
import json

import pytest

from model.taxonomy import (
    DENSEPOSE_COCO,
    MHP_V2,
    TAXONOMIES,
    Taxonomy,
    TaxonomyError,
    get_taxonomy,
    parts_at_joints,
)


@pytest.mark.parametrize(
    ("name", "parts", "joints"), [("mhp_v2", 58, 16), ("densepose_coco", 14, 17), ("pascal_person_part", 6, 14)]
)
def test_sizes_of_the_papers_data_sets(name: str, parts: int, joints: int) -> None:
    taxonomy = get_taxonomy(name)
    assert (len(taxonomy.part_names), len(taxonomy.joint_names)) == (parts, joints)
    assert len(set(taxonomy.part_names)) == parts
    assert len(set(taxonomy.palette)) == parts


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=str)
def test_flipping_swaps_left_and_right_names(taxonomy: Taxonomy) -> None:
    def mirrored(name: str) -> str:
        return name.replace("left", "?").replace("right", "left").replace("?", "right")

    parts = ("background", *taxonomy.part_names)
    assert [parts[i] for i in taxonomy.part_flip] == [mirrored(name) for name in parts]
    assert [taxonomy.joint_names[i] for i in taxonomy.joint_flip] == [mirrored(n) for n in taxonomy.joint_names]


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=str)
def test_json_keeps_everything(taxonomy: Taxonomy) -> None:
    assert Taxonomy.from_dict(json.loads(json.dumps(taxonomy.to_dict()))) == taxonomy


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=str)
def test_the_tree_reaches_every_joint_once(taxonomy: Taxonomy) -> None:
    assert {child for _, child in taxonomy.tree_limbs} | {taxonomy.limbs[0][0]} == set(range(len(taxonomy.joint_names)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"limbs": ((1, 2), *DENSEPOSE_COCO.limbs[1:])}, "head-to-foot"),
        ({"limbs": DENSEPOSE_COCO.limbs[:5]}, "tree"),
        ({"palette": DENSEPOSE_COCO.palette[:-1]}, "palette"),
        ({"part_flip_pairs": ((0, 1),)}, "flip"),
        ({"joint_flip_pairs": ((1, 2), (2, 3))}, "flip"),
    ],
)
def test_a_contradiction_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(TaxonomyError, match=message):
        dataclasses.replace(DENSEPOSE_COCO, **change)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(TaxonomyError, match="densepose_coco"):
        get_taxonomy("coco")


def test_a_joint_between_two_segments_lies_on_both() -> None:
    def names(joint: str, own_side: bool) -> set[str]:
        parts = parts_at_joints(DENSEPOSE_COCO, own_side)
        assert parts is not None
        ids = parts[DENSEPOSE_COCO.joint_names.index(joint)]
        return {DENSEPOSE_COCO.part_names[i - 1] for i in ids}

    assert names("left_shoulder", own_side=True) == {"torso", "left_upper_arm"}
    assert names("right_wrist", own_side=False) == {"left_hand", "right_hand", "left_lower_arm", "right_lower_arm"}
    assert names("nose", own_side=True) == {"head"}
    assert parts_at_joints(MHP_V2, own_side=True) is None
