"""MHPv2: the official files become samples, and what they do not say stays unknown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from model.taxonomy import MHP_V2
from tests.figures import draw_figures
from tests.miniatures import drawn, mhp_v2
from training.data.datasets.mhp_v2 import MhpV2
from training.data.samples import DatasetError, Sample

SIZE = (120, 100)


def one(root: Path, people: int = 2) -> tuple[Path, Sample]:
    """A miniature of one training and one validation image, and the first one's sample."""
    sample = draw_figures(MHP_V2, SIZE, people)
    return mhp_v2(root, [sample], [draw_figures(MHP_V2, SIZE, 1)]), sample


def parsing(base: Path, person: int, people: int = 2) -> Path:
    return base / f"train/parsing_annos/1_{people:02d}_{person:02d}.png"


def change_poses(base: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    path = base / "train/pose_annos/1.mat"
    poses = {name: value for name, value in loadmat(path).items() if name.startswith("person_")}
    change(poses)
    savemat(path, poses)


def test_written_samples_are_read(tmp_path: Path) -> None:
    train, val = drawn(MHP_V2, 4, size=SIZE), drawn(MHP_V2, 2, 50, size=SIZE)
    train[1].keypoints[0, 3] = 0  # known to be outside
    train[1].joints_labelled[0, 4], train[1].keypoints[0, 4] = False, 0  # unknown
    dataset = MhpV2(mhp_v2(tmp_path, train, val))
    for index, expected in enumerate(train + val):
        sample = dataset.load(index)
        for name in ("parts", "people", "keypoints", "joints_labelled", "has_mask", "boxes"):
            np.testing.assert_array_equal(getattr(sample, name), getattr(expected, name), name)
        assert np.abs(sample.image.astype(int) - expected.image).mean() < 5
        assert sample.key == dataset.records[index].key
    assert len({record.key for record in dataset.records}) == 6


def test_the_split_is_the_lists(tmp_path: Path) -> None:
    base = mhp_v2(tmp_path, 3, 2)
    (base / "list/train.txt").write_text("3\n1\n\n")
    dataset = MhpV2(tmp_path)  # the folder that LV-MHP-v2 was unpacked into
    assert [record.key for record in dataset.records] == ["train_3", "train_1", "val_1001", "val_1002"]
    assert dataset.split() == ([0, 1], [2, 3])


def test_opening_reads_no_image(tmp_path: Path) -> None:
    base, _ = one(tmp_path)
    for path in base.rglob("*.*"):
        if path.suffix in (".jpg", ".png", ".mat"):
            path.write_bytes(b"")
    assert len(MhpV2(base)) == 2


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_ids_in_other_png_modes_are_read(tmp_path: Path, mode: str) -> None:
    base, sample = one(tmp_path)
    for person in (1, 2):
        ids = np.where(sample.people == person, sample.parts, 0).astype(np.uint8)
        picture = Image.fromarray(ids)
        if mode == "P":
            picture = picture.convert("P")
            picture.putpalette(list(range(255, -1, -1)) * 3)  # the colors say nothing
        elif mode == "RGBA":
            picture = Image.fromarray(np.dstack([ids, ids * 0, ids * 0, ids * 0 + 255]))
        assert picture.mode == mode
        picture.save(parsing(base, person))
    np.testing.assert_array_equal(MhpV2(base).load(0).parts, sample.parts)


def test_the_later_person_has_a_shared_pixel(tmp_path: Path) -> None:
    base, _ = one(tmp_path)
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[10:50, 10:50], second[30:70, 30:70] = 3, 12
    for person, ids in ((1, first), (2, second)):
        Image.fromarray(ids).save(parsing(base, person))
    sample = MhpV2(base).load(0)
    assert (sample.parts[40, 40], sample.people[40, 40]) == (12, 2)
    assert (sample.parts[20, 20], sample.people[20, 20]) == (3, 1)
    assert sample.has_mask.all()
    np.testing.assert_array_equal(sample.boxes, [[10, 10, 49, 49], [30, 30, 69, 69]])


def test_a_covered_person_has_a_box_but_no_mask(tmp_path: Path) -> None:
    base, _ = one(tmp_path)
    first, second = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    first[35:45, 30:40], second[30:70, 30:70] = 3, 12
    for person, ids in ((1, first), (2, second)):
        Image.fromarray(ids).save(parsing(base, person))
    sample = MhpV2(base).load(0)
    assert sample.has_mask.tolist() == [False, True]
    np.testing.assert_array_equal(sample.boxes[0], [30, 35, 39, 44])
    assert set(np.unique(sample.people)) == {0, 2}  # its region is the other person's: nothing there is unknown


def test_the_box_of_an_unparsed_person_is_unknown(tmp_path: Path) -> None:
    base, _ = one(tmp_path)
    other = np.zeros(SIZE, np.uint8)
    other[30:70, 30:70] = 12
    Image.fromarray(other * 0).save(parsing(base, 1))
    Image.fromarray(other).save(parsing(base, 2))
    change_poses(base, lambda poses: poses["person_0"].__setitem__((slice(18, 20), slice(0, 2)), [[20, 40], [60, 90]]))
    sample = MhpV2(base).load(0)
    assert sample.has_mask.tolist() == [False, True]
    np.testing.assert_array_equal(sample.boxes[0], [20, 40, 60, 90])
    expected = np.zeros(SIZE, np.uint8)
    expected[40:91, 20:61] = 255
    expected[30:70, 30:70] = 2
    np.testing.assert_array_equal(sample.people, expected)
    np.testing.assert_array_equal(sample.parts == 255, expected == 255)


@pytest.mark.parametrize(
    ("written", "visibility", "labelled"),
    [
        ((40, 50, 0), 2, True),
        ((40, 50, 1), 1, True),
        ((0, 0, 0), 2, True),
        ((-1, -1, 2), 0, True),  # outside: known not to be there
        ((-1, -1, 0), 0, False),  # marked visible without a place, 7.7 % of the official points
        ((-1, -1, 1), 0, False),  # occluded, and the tool dropped the place
        ((40, -1, 0), 0, False),
        ((100, 50, 0), 0, False),  # beside an image 100 pixels wide
        ((40, 120, 1), 0, False),
        ((np.nan, np.nan, 0), 0, False),
        ((40, 50, 3), 0, False),
    ],
)
def test_flags_of_joints(tmp_path: Path, written: tuple[float, float, float], visibility: int, labelled: bool) -> None:
    base, expected = one(tmp_path)
    change_poses(base, lambda poses: poses["person_1"].__setitem__(7, written))
    sample = MhpV2(base).load(0)
    assert sample.keypoints[1, 7].tolist() == ([*written[:2], visibility] if visibility else [0, 0, 0])
    assert sample.joints_labelled[1, 7] == labelled
    np.testing.assert_array_equal(np.delete(sample.keypoints[1], 7, 0), np.delete(expected.keypoints[1], 7, 0))


def test_joints_of_a_person_that_the_file_does_not_have_are_unknown(tmp_path: Path) -> None:
    base, expected = one(tmp_path)
    change_poses(base, lambda poses: poses.pop("person_0"))
    sample = MhpV2(base).load(0)
    assert not sample.joints_labelled[0].any()
    assert not sample.keypoints[0].any()
    np.testing.assert_array_equal(sample.keypoints[1], expected.keypoints[1])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def crowd(base: Path) -> None:
    for person in range(1, 256):
        (base / f"train/parsing_annos/1_255_{person:02d}.png").touch()
    for person in (1, 2):
        parsing(base, person).unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda base: cut(base / "train/images/1.jpg"), r"images/1\.jpg cannot be decoded.*unpack"),
        (lambda base: (base / "train/images/1.jpg").unlink(), r"images/1\.jpg is missing: unpack"),
        (lambda base: cut(parsing(base, 2)), r"1_02_02\.png cannot be decoded.*unpack"),
        (lambda base: parsing(base, 1).unlink(), r"of 2 people of image 1 1_02_01\.png is missing: unpack"),
        (lambda base: [parsing(base, p).unlink() for p in (1, 2)], r"parsing_annos/1_NN_01\.png is missing: unpack"),
        (lambda base: parsing(base, 2).rename(parsing(base, 2, 3)), r"of 3 people of image 1 1_03_03\.png is miss"),
        (lambda base: cut(base / "train/pose_annos/1.mat"), r"pose_annos/1\.mat cannot be read.*unpack"),
        (lambda base: (base / "train/pose_annos/1.mat").unlink(), r"pose_annos/1\.mat is missing: unpack"),
        (
            lambda base: change_poses(base, lambda poses: poses.update(person_1=np.zeros((16, 3)))),
            r"1\.mat: person_1 is float64 \(16, 3\), not 20x3 numbers: unpack",
        ),
        (
            lambda base: Image.fromarray(np.full(SIZE, 59, np.uint8)).save(parsing(base, 1)),
            r"1_02_01\.png has the ids \[59\], known are 0\.\.58 and 255: write",
        ),
        (
            lambda base: Image.new("L", (5, 4)).save(parsing(base, 1)),
            r"1_02_01\.png is 4 pixels high and 5 wide, its image 120 and 100: unpack both",
        ),
        (
            lambda base: Image.fromarray(np.zeros(SIZE, np.uint16)).save(parsing(base, 1)),
            r"1_02_01\.png has more than 8 bits a pixel: write",
        ),
        (crowd, "image 1 has 255 people; at most 254"),
    ],
)
def test_a_broken_file_is_named_and_affects_its_image_alone(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    base, _ = one(tmp_path)
    damage(base)
    dataset = MhpV2(base)
    with pytest.raises(DatasetError, match=message):
        dataset.load(0)
    assert dataset.load(1).key == "val_1001"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda base: (base / "list/val.txt").unlink(), r"list/val\.txt is missing: unpack"),
        (lambda base: (base / "list/train.txt").write_text("\n"), r"list/train\.txt names no image"),
        (lambda base: (base / "list/train.txt").write_bytes(b"\xff\xfe"), r"list/train\.txt cannot be read"),
        (lambda base: (base / "val/parsing_annos").rename(base / "val/parts"), r"val/parsing_annos is missing: unpack"),
    ],
)
def test_opening_fails_where_the_set_is_incomplete(
    tmp_path: Path, damage: Callable[[Path], object], message: str
) -> None:
    base, _ = one(tmp_path)
    damage(base)
    with pytest.raises(DatasetError, match=message):
        MhpV2(base)
