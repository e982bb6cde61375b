"""Who gets which pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO
from training.data.convert.labels import ClassMap, ImageLabels, Person, Region
from training.data.convert.rasterize import RasterizedLabels, rasterize
from training.data.samples import Bool, DatasetError

T = DENSEPOSE_COCO
TORSO, HEAD = T.part_names.index("torso") + 1, T.part_names.index("head") + 1
SIZE = (6, 12)


def columns(start: int, stop: int) -> Bool:
    mask = np.zeros(SIZE, bool)
    mask[:, start:stop] = True
    return mask


def row(rasterized: RasterizedLabels) -> tuple[list[int], list[int]]:
    """Parts and people of an image whose labels are columns."""
    for array in (rasterized.parts, rasterized.people):
        assert (array == array[0]).all()
    return rasterized.parts[0].tolist(), rasterized.people[0].tolist()


def rasterized(one_person: bool = False, **values: object) -> RasterizedLabels:
    labels = ImageLabels(Path("me.jpg"), SIZE, **values)  # type: ignore[arg-type]
    return rasterize(labels, ClassMap(T, {}), T, one_person)


def test_later_regions_are_in_front_and_a_persons_rest_is_of_unknown_part() -> None:
    result = rasterized(
        people={"a": Person(mask=columns(0, 8))},
        regions=[Region("torso", columns(2, 6), "a"), Region("head", columns(5, 7), "a")],
    )
    assert row(result) == ([255] * 2 + [TORSO] * 3 + [HEAD] * 2 + [255] + [0] * 4, [1] * 8 + [0] * 4)
    assert result.records[0]["bbox"] == [0, 0, 8, 6]
    assert result.records[0]["area"] == 48
    assert result.records[0]["mask_source"] == "ground_truth"


def test_a_part_belongs_to_the_person_who_contains_it() -> None:
    result = rasterized(
        people={"a": Person(mask=columns(0, 4)), "b": Person(box=(6, 0, 12, 6))},
        regions=[Region("torso", columns(1, 3)), Region("head", columns(3, 8)), Region("head", columns(8, 11))],
    )
    # The first head is one fifth a's and two fifths b's: nobody's, but what a's mask holds stays a's.
    parts = [255] + [TORSO] * 2 + [255] * 5 + [HEAD] * 3 + [0]
    assert row(result) == (parts, [1] * 4 + [255] * 4 + [2] * 3 + [0])


def test_a_part_inside_two_people_must_name_its_person() -> None:
    people = {"a": Person(box=(0, 0, 8, 6)), "b": Person(box=(4, 0, 12, 6))}
    with pytest.raises(DatasetError, match="its head lies in 2 people"):
        rasterized(people=people, regions=[Region("head", columns(5, 7))])
    assert rasterized(people=people, regions=[Region("head", columns(5, 7), "b")]).people[0, 5] == 2


def test_an_ignored_region_has_no_person_unless_named() -> None:
    people = {"a": Person(mask=columns(0, 4))}
    both = rasterized(people=people, regions=[Region("ignore", columns(2, 6))])
    assert row(both) == ([255] * 6 + [0] * 6, [1] * 4 + [255] * 2 + [0] * 6)
    own = rasterized(people=people, regions=[Region("ignore", columns(2, 6), "a")])
    assert row(own) == ([255] * 6 + [0] * 6, [1] * 6 + [0] * 6)


def test_background_and_void() -> None:
    result = rasterized(
        people={"a": Person(mask=columns(0, 4))}, regions=[Region("Background", columns(3, 6))], void=columns(8, 12)
    )
    assert row(result) == ([255] * 3 + [0] * 5 + [255] * 4, [1] * 3 + [0] * 5 + [255] * 4)


def test_a_person_without_pixels_makes_the_box_unknown() -> None:
    result = rasterized(people={"a": Person(mask=columns(0, 3)), "b": Person(box=(2, 0, 7, 6))})
    assert row(result) == ([255] * 7 + [0] * 5, [1] * 3 + [255] * 4 + [0] * 5)
    assert [record["mask_source"] for record in result.records] == ["ground_truth", "none"]
    assert result.records[1]["bbox"] == [2, 0, 5, 6]


def test_a_person_with_joints_only_gets_a_box() -> None:
    result = rasterized(people={"a": Person(joints={"nose": (2, 0, 2), "Left Eye": (7, 5, 1)})})
    assert result.records[0]["bbox"] == [1.5, -0.5, 7, 7]
    assert result.records[0]["num_keypoints"] == 2
    assert result.records[0]["keypoints"][:6] == [2, 0, 2, 7, 5, 1]
    assert (result.people == 255).sum() == 6 * 6  # columns 2 to 7 of six rows


def test_regions_of_complete_people_are_masks() -> None:
    regions = [
        Region("person", columns(0, 2), "a"),
        Region("person", columns(3, 5), "a"),
        Region("head", columns(1, 2), "b"),
    ]
    assert row(rasterized(regions=regions)) == ([255, HEAD, 0, 255, 255] + [0] * 7, [1, 2, 0, 1, 1] + [0] * 7)


def test_one_person_takes_all_unassigned_labels() -> None:
    result = rasterized(
        one_person=True,
        regions=[Region("torso", columns(0, 2)), Region("head", columns(2, 3)), Region("ignore", columns(5, 6))],
        joints={"nose": (2, 2, 2)},
    )
    assert row(result) == ([TORSO] * 2 + [HEAD, 0, 0, 255] + [0] * 6, [1] * 3 + [0, 0, 255] + [0] * 6)
    assert result.records[0]["num_keypoints"] == 1
    assert not rasterized(one_person=True).records


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"regions": [Region("head", columns(0, 1))]}, "its parts name nobody; group them"),
        ({"regions": [Region("person", columns(0, 1))]}, "its person is nobody in particular"),
        ({"joints": {"nose": (1, 1, 2)}}, "nose name none of 0 people"),
        (
            {"joints": {"nose": (1, 1, 2)}, "people": {k: Person(mask=columns(0, 1)) for k in "ab"}},
            "nose name none of 2 people",
        ),
        ({"people": {"a": Person()}}, "person a has no visible part, no box and no joint"),
        ({"people": {str(i): Person(box=(0, 0, 2, 2)) for i in range(255)}}, "255 people; a map has room for 254"),
    ],
)
def test_labels_without_a_person_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        rasterized(**values)


def test_names_are_mapped_and_a_wrong_mapping_is_refused() -> None:
    names = ClassMap(T, {"Skull": "head", "snout": "nose", "human": "person", "hat": "ignore", "sky": "background"})
    assert [names.part(name) for name in ("skull", "LEFT-HAND", "left hand", "hat", "sky")] == [HEAD, 3, 3, 255, 0]
    assert names.joint("Snout") == 0
    assert names.joint("hat") is None
    assert names.is_person("Human")
    assert not names.is_person("head")
    assert not names.unknown_parts
    assert not names.unknown_joints
    assert names.part("tail") == 255
    assert names.joint("tail") is None
    assert (dict(names.unknown_parts), dict(names.unknown_joints)) == ({"tail": 1}, {"tail": 1})
    with pytest.raises(DatasetError, match="'a' is mapped to 'tail', which densepose_coco lacks"):
        ClassMap(T, {"a": "tail"})
