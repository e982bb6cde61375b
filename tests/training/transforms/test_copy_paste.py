"""People of one image pasted into another: labels stay exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import pytest

from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample, mask_boxes
from training.transforms.copy_paste import copy_paste, crop_instance, paste_instance
from training.transforms.fields import dilate

T = DENSEPOSE_COCO
NOSE, RIGHT_KNEE = 0, T.joint_names.index("right_knee")


def donor(taxonomy: Taxonomy = T, seed: int = 0) -> Sample:
    """One figure in the middle, clear of the border."""
    return draw_figures(taxonomy, (240, 240), people=1, seed=seed, height=0.6)


def somebody() -> Sample:
    person = crop_instance(donor(), 0)
    assert person is not None
    return person


def joint_owners(sample: Sample) -> np.ndarray:
    """[n, K], the person whose pixel a joint lies on; 0 for absent joints."""
    x, y = (np.rint(sample.keypoints[..., axis]).astype(int) for axis in (0, 1))
    return np.where(sample.keypoints[..., 2] > 0, sample.people[y, x], 0)


def test_a_cropped_person_is_alone_and_in_place() -> None:
    sample = donor()
    person = somebody()
    x0, y0, x1, y1 = sample.boxes[0].astype(int)
    frame = slice(y0 - 2, y1 + 3), slice(x0 - 2, x1 + 3)
    for name in ("image", "parts", "people"):
        np.testing.assert_array_equal(getattr(person, name), getattr(sample, name)[frame])
    np.testing.assert_allclose(person.keypoints[..., :2] + [x0 - 2, y0 - 2], sample.keypoints[..., :2], atol=1e-4)
    np.testing.assert_array_equal(person.boxes, [[2, 2, x1 - x0 + 2, y1 - y0 + 2]])
    assert person.joints_labelled.all()
    assert person.has_mask.all()


def test_a_joint_off_the_mask_is_unlabelled_and_an_absent_one_stays_absent() -> None:
    sample = donor()
    x, y = sample.keypoints[0, RIGHT_KNEE, :2].astype(int)
    hole = slice(y - 6, y + 7), slice(x - 6, x + 7)
    sample.people[hole] = sample.parts[hole] = 0
    sample.keypoints[0, RIGHT_KNEE, 2] = 1  # behind something
    sample.keypoints[0, NOSE] = 0  # known to be absent
    person = crop_instance(sample, 0)
    assert person is not None
    assert not person.keypoints[0, [NOSE, RIGHT_KNEE]].any()
    np.testing.assert_array_equal(person.joints_labelled[0], np.arange(17) != RIGHT_KNEE)


def cover(sample: Sample, value: int) -> None:
    """Right of the hip's height nobody is known to be: there stands `value`."""
    rows = slice(sample.size[0] // 2, None)
    free = sample.people[rows] == 0
    sample.people[rows][free] = sample.parts[rows][free] = value


def cut_off(sample: Sample) -> None:
    """The figure reaches the image's bottom."""
    lowest = sample.people[int(sample.boxes[0, 3])].copy()
    sample.people[int(sample.boxes[0, 3]) :] = lowest


@pytest.mark.parametrize(
    "change",
    [
        lambda sample: cover(sample, 255),
        lambda sample: cover(sample, 2),
        cut_off,
        lambda sample: sample.people.fill(0),
        lambda sample: sample.keypoints[:, 5:].fill(0),
        lambda sample: sample.people[: int(sample.boxes[0, 3]) - 40].fill(0),
    ],
    ids=["beside the unknown", "beside somebody", "cut by the image", "without a mask", "few joints", "small"],
)
def test_an_incomplete_person_is_not_cropped(change: Callable[[Sample], object]) -> None:
    sample = donor()
    change(sample)
    assert crop_instance(sample, 0) is None


def test_in_front_the_labels_are_the_pasted_persons() -> None:
    sample, person = draw_figures(T, people=3, seed=5), somebody()
    corner = int(sample.keypoints[1, RIGHT_KNEE, 0]) - person.size[1] // 2, 60
    crowd = paste_instance(sample, person, corner)
    window = slice(60, 60 + person.size[0]), slice(corner[0], corner[0] + person.size[1])
    mask = np.zeros(sample.size, bool)
    mask[window] = person.people == 1
    parts = np.zeros(sample.size, np.uint8)
    parts[window] = person.parts
    np.testing.assert_array_equal(crowd.people, np.where(mask, 4, sample.people))
    np.testing.assert_array_equal(crowd.parts, np.where(mask, parts, sample.parts))
    np.testing.assert_array_equal(crowd.boxes, mask_boxes(crowd.people, 4))
    np.testing.assert_allclose(crowd.keypoints[3, :, :2], person.keypoints[0, :, :2] + corner, atol=1e-4)
    np.testing.assert_array_equal(crowd.keypoints[3, :, 2], person.keypoints[0, :, 2])

    covered = joint_owners(crowd)[:3] == 4
    assert covered.sum() > 3
    np.testing.assert_array_equal(crowd.keypoints[:3, :, :2], sample.keypoints[..., :2])
    np.testing.assert_array_equal(crowd.keypoints[:3, :, 2], np.where(covered, 1, sample.keypoints[..., 2]))

    inner = ~dilate(~mask, 1)
    np.testing.assert_array_equal(crowd.image[~mask], sample.image[~mask])
    np.testing.assert_array_equal(crowd.image[inner], person.image[inner[window]])
    edge = mask & ~inner  # between the two images
    pasted = np.zeros_like(sample.image)
    pasted[window] = person.image
    low, high = np.minimum(sample.image, pasted)[edge], np.maximum(sample.image, pasted)[edge]
    assert ((low <= crowd.image[edge]) & (crowd.image[edge] <= high)).all()
    assert (crowd.image[edge] != pasted[edge]).any(axis=1).mean() > 0.9


def test_behind_others_no_other_person_changes() -> None:
    sample, person = draw_figures(T, people=3, seed=5), somebody()
    sample.people[:, 200:] = sample.parts[:, 200:] = 255
    corner = int(sample.keypoints[1, RIGHT_KNEE, 0]) - person.size[1] // 2, 40
    crowd = paste_instance(sample, person, corner, behind=True)
    taken = sample.people > 0
    for name in ("image", "parts", "people"):
        np.testing.assert_array_equal(getattr(crowd, name)[taken], getattr(sample, name)[taken])
    for name in ("keypoints", "boxes", "joints_labelled"):
        np.testing.assert_array_equal(getattr(crowd, name)[:3], getattr(sample, name))
    hidden = np.isin(joint_owners(crowd)[3], (1, 2, 3, 255))
    assert 0 < hidden.sum() < hidden.size
    np.testing.assert_array_equal(crowd.keypoints[3, :, 2], np.where(hidden, 1, person.keypoints[0, :, 2]))
    assert (crowd.people == 4).any()


def test_a_person_who_would_be_hidden_is_not_pasted() -> None:
    sample = draw_figures(T, people=3, seed=5)
    sample.people[sample.people == 0] = 255
    assert paste_instance(sample, somebody(), (60, 60), behind=True) is sample


def test_an_almost_covered_person_is_dropped_and_the_rest_is_unknown() -> None:
    sample, person = draw_figures(T, people=3, seed=5), somebody()
    in_front = np.zeros(sample.size, bool)
    in_front[60 : 60 + person.size[0], 60 : 60 + person.size[1]] = person.people == 1
    sample.people[sample.people == 2] = sample.parts[sample.people == 2] = 0
    sample.people[in_front], sample.parts[in_front] = 2, 1
    rest = np.zeros(sample.size, bool)
    rest[150:152, 250:256] = True
    sample.people[rest], sample.parts[rest] = 2, 1
    crowd = paste_instance(sample, person, (60, 60))
    assert len(crowd.keypoints) == len(crowd.boxes) == len(crowd.has_mask) == 3
    np.testing.assert_array_equal(crowd.people == 255, rest)
    np.testing.assert_array_equal(crowd.parts == 255, rest)
    np.testing.assert_array_equal(crowd.people == 3, in_front)  # the pasted person comes last
    np.testing.assert_array_equal(crowd.people == 2, (sample.people == 3) & ~in_front)
    np.testing.assert_array_equal(crowd.keypoints[1, :, :2], sample.keypoints[2, :, :2])


@pytest.mark.parametrize(("seen", "count"), [(False, 3), (True, 4)])
def test_a_person_without_a_mask_is_dropped_if_no_joint_is_visible(seen: bool, count: int) -> None:
    sample, person = draw_figures(T, people=3, seed=5), somebody()
    sample.parts[sample.people == 1] = sample.people[sample.people == 1] = 255
    sample.has_mask[0] = False
    sample.keypoints[0] = 0
    sample.keypoints[0, RIGHT_KNEE] = *(person.keypoints[0, 0, :2] + 60), 2
    sample.keypoints[0, 0] = 1, 1, 2 if seen else 1
    crowd = paste_instance(sample, person, (60, 60))
    assert len(crowd.keypoints) == count
    if seen:
        assert crowd.keypoints[0, RIGHT_KNEE, 2] == 1
        np.testing.assert_array_equal(crowd.boxes[0], sample.boxes[0])


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_copy_paste_keeps_the_invariants_of_labels(taxonomy: Taxonomy) -> None:
    pasted = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        sample = draw_figures(taxonomy, (160, 240), people=2, seed=seed, height=0.5)
        sample.parts[:20] = sample.people[:20] = 255
        crowd = copy_paste(sample, draw_figures(taxonomy, (200, 400), 3, seed, 0.5), rng, taxonomy, 0.3)
        n = len(crowd.keypoints)
        pasted += n - len(sample.keypoints)
        np.testing.assert_array_equal(crowd.parts > 0, crowd.people > 0)
        np.testing.assert_array_equal(crowd.parts == 255, crowd.people == 255)
        assert set(np.unique(crowd.people)) - {0, 255} == set(range(1, n + 1))
        np.testing.assert_array_equal(crowd.boxes, mask_boxes(crowd.people, n))
        for row in range(n):
            x, y = (np.rint(crowd.keypoints[row, :, axis]).astype(int) for axis in (0, 1))
            visible = crowd.keypoints[row, :, 2] == 2
            near = dilate((crowd.people == row + 1) | (crowd.people == 255), 2)  # 255: as drawn above
            assert near[y[visible], x[visible]].all(), (seed, row)
    assert pasted > 10


def test_flipped_people_have_left_and_right_exchanged() -> None:
    """Mirrored or not, joints and parts of the left are on the side where figures have them."""
    left, right = (T.joint_names.index(f"{side}_shoulder") for side in ("left", "right"))
    arms = [T.part_names.index(f"{side}_upper_arm") + 1 for side in ("left", "right")]

    def sides(sample: Sample) -> tuple[bool, bool]:
        """Of the last person: whether the left shoulder lies left of the right one, and so the upper arm."""
        owned = sample.people == len(sample.keypoints)
        centers = [np.nonzero(owned & (sample.parts == arm))[1].mean() for arm in arms]
        return bool(sample.keypoints[-1, left, 0] < sample.keypoints[-1, right, 0]), bool(centers[0] < centers[1])

    sample, whole = draw_figures(T, (400, 800), people=1, seed=3, height=0.3), donor()
    leans = set()
    for seed in range(8):  # each pastes the whole figure, with every joint visible
        crowd = copy_paste(sample, whole, np.random.default_rng(seed), T, 0.0)
        assert (crowd.keypoints[1, :, 2] == 2).all()
        assert sides(crowd) == sides(whole)
        leans.add(bool(crowd.keypoints[1, RIGHT_KNEE, 0] > crowd.keypoints[1, right, 0]))
    assert len(leans) == 2  # some are mirrored


def test_a_person_free_image_is_unchanged_and_the_same_state_pastes_the_same() -> None:
    nobody = draw_figures(T, people=0)
    assert copy_paste(nobody, donor(), np.random.default_rng(0), T, 0.3) is nobody
    sample = draw_figures(T, people=2)
    kept = draw_figures(T, people=2)
    first, second = (copy_paste(sample, donor(), np.random.default_rng(4), T, 0.3) for _ in range(2))
    assert len(first.keypoints) == 3
    for field in fields(Sample):
        np.testing.assert_array_equal(getattr(first, field.name), getattr(second, field.name))
        np.testing.assert_array_equal(getattr(sample, field.name), getattr(kept, field.name))  # not written to


def test_at_most_254_people_are_pasted() -> None:
    sample = draw_figures(T, (64, 2048), people=3, height=0.3)
    count = 253
    full = Sample(
        image=sample.image, parts=sample.parts, people=sample.people, key="", source="",
        keypoints=np.repeat(sample.keypoints[:1], count, axis=0), has_mask=np.arange(count) < 3,
        pseudo_mask=np.zeros(count, bool), joints_labelled=np.ones((count, 17), bool),
        boxes=np.repeat(sample.boxes[:1], count, axis=0),
    )  # fmt: skip
    donors = draw_figures(T, (200, 400), 3, 0, 0.5)
    crowds = [copy_paste(full, donors, np.random.default_rng(seed), T, 0.0) for seed in range(8)]
    assert max(len(crowd.keypoints) for crowd in crowds) == 254
