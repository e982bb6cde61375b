"""An image that is not upright is told, and none that is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from model.letterbox import letterbox_geometry
from model.raw_prediction import RawPrediction
from model.taxonomy import DENSEPOSE_COCO
from service.images.decoding import fit_canvas
from service.parsing.turned import TILE, turned_warnings

SIZE_IMAGE, SIZE_CANVAS = (100, 150), (192, 352)
TILES = [(0, 0), (0, TILE), (TILE, 0), (TILE, TILE)]


NAMES = DENSEPOSE_COCO.joint_names
SHOULDERS, HIPS = ([NAMES.index(f"{side}_{name}") for side in ("left", "right")] for name in ("shoulder", "hip"))


class Upright:
    """Finds a person with the score `sure` in an image with red above, with `doubtful` otherwise.

    The shoulders lie in the red, the hips in the blue or, if not `hips`, nowhere.
    """

    name, precision = "upright", "f32"

    def __init__(self, sure: float, doubtful: float = 0.0, hips: bool = True) -> None:
        self.sure, self.doubtful, self.hips, self.seen = sure, doubtful, hips, 0

    def infer(self, canvas: np.ndarray, views: int = 1) -> RawPrediction:
        self.seen += 1
        tiles = TILES if canvas.shape[:2] == (2 * TILE, 2 * TILE) else [(0, 0)]
        joints, scores = np.zeros((4, len(NAMES), 3), np.float32), np.zeros(4, np.float32)
        for slot, (y, x) in enumerate(tiles):
            image = canvas[y : y + TILE, x : x + TILE] if len(tiles) > 1 else canvas
            red = np.argwhere((image[..., 0] > 200) & (image[..., 2] < 50))
            blue = np.argwhere((image[..., 2] > 200) & (image[..., 0] < 50))
            scores[slot] = self.sure if red[:, 0].mean() < blue[:, 0].mean() - 20 else self.doubtful
            joints[slot, SHOULDERS] = (*np.add(red.mean(0)[::-1], (x, y)), 0.5)
            joints[slot, HIPS] = (*np.add(blue.mean(0)[::-1], (x, y)), 0.5 * self.hips)
        order = np.argsort(-scores, kind="stable")
        nothing = np.zeros((2, *canvas.shape[:2]), np.uint8)
        return RawPrediction(*nothing, joints[order], scores[order], np.zeros((4, 4), np.float32), 0)


def warnings(backend: Upright, turn: Image.Transpose | None) -> tuple[str, ...]:
    """Of an image, red above blue, turned."""
    pixels = np.zeros((*SIZE_IMAGE, 3), np.uint8)
    pixels[:50], pixels[50:] = (255, 0, 0), (0, 0, 255)
    image = Image.fromarray(pixels)
    image = image if turn is None else image.transpose(turn)
    letterbox = letterbox_geometry((image.height, image.width), SIZE_CANVAS)
    canvas = fit_canvas(image, letterbox, SIZE_CANVAS)
    return turned_warnings(backend, canvas, letterbox, backend.infer(canvas), NAMES)


@pytest.mark.parametrize(
    ("turned", "remedy"),
    [
        (Image.Transpose.ROTATE_90, "90 degrees clockwise"),
        (Image.Transpose.ROTATE_180, "180 degrees"),
        (Image.Transpose.ROTATE_270, "90 degrees counterclockwise"),
    ],
)
def test_a_turned_image_is_told_with_its_remedy(turned: Image.Transpose, remedy: str) -> None:
    (warning,) = warnings(Upright(0.9), turned)
    assert f"people are found if it is turned by {remedy};" in warning
    assert warnings(Upright(0.9, doubtful=0.5), turned) == (warning,)


def test_nothing_is_told_without_a_sure_person_or_against_one() -> None:
    half = Image.Transpose.ROTATE_180
    assert warnings(Upright(0.45), half) == ()  # nobody likely anywhere
    assert warnings(Upright(0.6, doubtful=0.5), half) == ()  # not much surer
    assert warnings(Upright(0.99, doubtful=0.98), half) == ()  # sure as it is


@pytest.mark.parametrize(
    ("backend", "turn", "inferences"),
    [
        (Upright(0.98, 0.98), Image.Transpose.ROTATE_180, 1),  # certain
        (Upright(0.93), None, 1),  # stands
        (Upright(0.93, 0.93), Image.Transpose.ROTATE_90, 2),  # lies
        (Upright(0.93, 0.93), Image.Transpose.ROTATE_180, 2),  # on the head
        (Upright(0.93, hips=False), None, 2),
        (Upright(0.45), None, 2),
        (Upright(0.0), None, 2),
    ],
)
def test_an_image_whose_surest_person_is_upright_costs_nothing(
    backend: Upright, turn: Image.Transpose | None, inferences: int
) -> None:
    assert warnings(backend, turn) == ()
    assert backend.seen == inferences
