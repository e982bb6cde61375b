"""The sheet of a data set: what is drawn in which column."""

from __future__ import annotations

import numpy as np
import pytest

from model.config import DecoderConfig
from model.taxonomy import DENSEPOSE_COCO, TAXONOMIES, Taxonomy
from tests.figures import draw_figures
from training.data.samples import Sample
from training.visualization.drawing import UNKNOWN, person_colors
from training.visualization.target_grid import COLUMNS, GAP, LEFT, LINE, MIDDLE, RIGHT, TILE, Row, draw_target_grid, fit

T = DENSEPOSE_COCO
TOP = 2 * GAP + 3 * LINE  # of the first row's pictures
CONFIG = DecoderConfig()


def columns(sample: Sample, taxonomy: Taxonomy = T) -> dict[str, np.ndarray]:
    """The pictures of the first row of a sheet of one image, by the first word of their titles."""
    sheet = np.asarray(draw_target_grid([Row("me", sample)], taxonomy, CONFIG, "title"))
    height, width = fit(sample, *TILE).size
    lefts = [GAP + i * (TILE[0] + GAP) for i in range(len(COLUMNS))]
    pictures = [sheet[TOP : TOP + height, left : left + width] for left in lefts]
    return {name.split()[0].rstrip(","): picture for name, picture in zip(COLUMNS, pictures, strict=True)}


def near(picture: np.ndarray, color: tuple[int, ...], tolerance: int = 12) -> np.ndarray:
    """[H, W], where a picture has a color."""
    return (np.abs(picture.astype(int) - np.array(color)) <= tolerance).all(axis=2)


def tinted(picture: np.ndarray) -> np.ndarray:
    """[H, W], where a picture is not grey."""
    return np.ptp(picture.astype(int), axis=2) > 12


@pytest.mark.parametrize("taxonomy", TAXONOMIES.values(), ids=list(TAXONOMIES))
def test_every_column_of_every_taxonomy_is_drawn(taxonomy: Taxonomy) -> None:
    pictures = columns(draw_figures(taxonomy, (320, 352), people=1, height=0.4), taxonomy)
    for name in ("parts", "people", "heatmaps", "limbs", "projection"):
        assert tinted(pictures[name]).any(), name
        assert not tinted(pictures[name]).all(), name


def test_parts_and_people_are_where_they_are() -> None:
    sample = draw_figures(T, (416, 352), people=2)
    pictures = columns(sample)
    np.testing.assert_array_equal(tinted(pictures["parts"]), sample.parts > 0)
    people = tinted(pictures["people"])
    assert not people[sample.people == 0].all()
    for person in (1, 2):
        hue = person_colors()[person].astype(int)
        drawn = pictures["people"][sample.people == person].astype(int)
        grey = np.ptp(drawn - 0.75 * hue, axis=1) < 4  # but for the number, a quarter of grey under the color
        assert grey.mean() > 0.9


def test_left_and_right_have_their_colors() -> None:
    sample = draw_figures(T, (416, 352), people=1)
    sample.keypoints[0, [i for i in range(17) if i not in (0, 9, 10)]] = 0
    sample.keypoints[0, [0, 9, 10]] = (176, 60, 2), (60, 300, 2), (290, 300, 2)  # nose, left wrist, right wrist
    picture = columns(sample)["image"]
    for x, y, color in ((176, 60, MIDDLE), (60, 300, LEFT), (290, 300, RIGHT)):
        assert near(picture[y - 1 : y + 2, x - 1 : x + 2], color).all()


def test_an_occluded_joint_is_hollow() -> None:
    sample = draw_figures(T, (416, 352), people=1)
    sample.keypoints[0, 9] = 60, 300, 1
    ring = columns(sample)["image"][295:306, 55:66]
    assert near(ring, LEFT, 60).any()
    assert not near(ring, LEFT, 60)[5, 5]


def test_heatmaps_are_disks_in_the_color_of_the_side() -> None:
    sample = draw_figures(T, (416, 352), people=1)
    sample.keypoints[:] = 0
    sample.keypoints[0, 9] = 100, 100, 2
    disk = tinted(columns(sample)["heatmaps"])
    assert abs(int(disk.sum()) - np.pi * CONFIG.radius**2) < 250
    assert disk[100, 100]
    assert disk[100, 128]
    assert not disk[100, 136]


def test_unknown_cells_are_magenta() -> None:
    sample = draw_figures(T, (416, 352), people=0)
    sample.parts[:100], sample.people[:100] = 255, 255
    pictures = columns(sample)
    for name in ("heatmaps", "limbs"):
        assert tinted(pictures[name])[:100].all()
        assert not tinted(pictures[name])[104:].any()
    assert near(pictures["parts"][:96], UNKNOWN, 40).all()


def test_arrows_point_to_the_nearest_joint() -> None:
    sample = draw_figures(T, (416, 352), people=0)
    sample.people[100:300, 150:158] = 1
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, 0] = 60, 200, 2
    person = Sample(
        image=sample.image, parts=sample.people, people=sample.people, keypoints=keypoints,
        joints_labelled=keypoints[:, :, 2] > 0, has_mask=np.ones(1, bool), pseudo_mask=np.zeros(1, bool),
        boxes=np.array([[150, 100, 157, 299]], np.float32), key="me", source="drawn",
    )  # fmt: skip
    arrows = tinted(columns(person)["projection"])
    assert arrows[198:203, 58:64].any()  # they end in the joint
    assert arrows[:, 100].sum() > 10  # and cross what lies between
    assert not arrows[:, :50].any()
    assert not arrows[:, 166:].any()


def test_rows_are_as_high_as_their_images_and_the_legend_is_below() -> None:
    wide, tall = draw_figures(T, (64, 128), people=1), draw_figures(T, (128, 64), people=1)
    one = draw_target_grid([Row("a", wide)], T, CONFIG, "")
    two = draw_target_grid([Row("a", wide), Row("b", tall)], T, CONFIG, "")
    assert two.width == one.width
    assert two.height - one.height == LINE + TILE[1] + GAP
    legend = np.asarray(one)[-4 * LINE :]
    for color in (*T.palette, LEFT, RIGHT, MIDDLE, UNKNOWN):
        assert near(legend, color, 0).sum() > 200, color


def test_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one image"):
        draw_target_grid([], T, CONFIG, "")


@pytest.mark.parametrize(
    ("size", "fitted"), [((300, 400), (384, 512)), ((1000, 10), (512, 4)), ((511, 512), (508, 512))]
)
def test_images_are_fitted_in_whole_cells(size: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fit(draw_figures(T, size, people=0), 512, 512).size == fitted
