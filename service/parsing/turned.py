"""Tells whether an image whose surest person does not stand is probably turned: the network knows upright people.

The image as it is and turned three times is looked at in one inference, side by side on a canvas of `fast`.

Measured with version 7 of the default weights on 18 images, 16 of them with people, at `fast`: no upright one gets the
warning, and the 2 without people cost the inference more. Turned by 90, 180 or 270 degrees, 32 of 48 with people get
it, 31 with the right remedy. `UPRIGHT`, `SURE` and `TILTED` were chosen on these images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.letterbox import Letterbox, letterbox_geometry
from model.raw_prediction import RawPrediction
from service.images.decoding import fit_canvas
from service.runtimes.types import Backend

SURE = 0.97  # score of a person that is certainly upright
UPRIGHT = 0.5  # and of one who is not tilted
TILTED = 45.0  # degrees: largest angle between the vertical and the way down a body that is not tilted
DOWN = (  # the way down a body, by the joints of any taxonomy
    ("nose", "left_ear", "right_ear", "head_top", "forehead"),
    ("left_shoulder", "right_shoulder", "neck", "upper_neck"),
    ("left_hip", "right_hip"),
)
SEEN = 0.2  # score of a joint that was found, and not placed by the person's center
LIKELY = 0.5  # lowest score of the surest person of the turned image
MARGIN = 1.0  # log-odds by which this person must surpass the surest one of the image as it is, seen as small
TILE = 128  # pixels a side of each of the four images
CANVAS = (2 * TILE, 2 * TILE)  # height, width
TURNS = {
    "90 degrees clockwise": Image.Transpose.ROTATE_270,
    "180 degrees": Image.Transpose.ROTATE_180,
    "90 degrees counterclockwise": Image.Transpose.ROTATE_90,
}


def turned_warnings(
    backend: Backend,
    canvas: NDArray[np.uint8],
    letterbox: Letterbox,
    people: RawPrediction,
    joint_names: Sequence[str],
) -> tuple[str, ...]:
    """Return a warning if people are found once the image is turned; `people` are those of the image as it is.

    Costs nothing for an image whose surest person is upright, an inference at `fast` for any other.
    """
    if _is_upright(people, joint_names):
        return ()
    image = Image.fromarray(letterbox.content(canvas))
    tiles = [_tile(image), *(_tile(image.transpose(turn)) for turn in TURNS.values())]
    upright, *turned = _surest_people(backend.infer(np.block([[[tiles[0]], [tiles[1]]], [[tiles[2]], [tiles[3]]]]), 1))
    scores = dict(zip(TURNS, turned, strict=True))
    turn = max(scores, key=scores.__getitem__)
    if scores[turn] < LIKELY or _log_odds(scores[turn]) < _log_odds(upright) + MARGIN:
        return ()
    return (
        f"the image is probably not upright: people are found if it is turned by {turn}; turn it and send it again",
    )


def _is_upright(people: RawPrediction, joint_names: Sequence[str]) -> bool:
    """Return whether the surest person, who is the first, is certain or at least stands."""
    score = float(people.person_score[0])
    if not UPRIGHT <= score < SURE:
        return score >= SURE
    found = {name: joint[:2] for name, joint in zip(joint_names, people.keypoints[0], strict=True) if joint[2] > SEEN}
    centers = [np.mean(known, axis=0) for group in DOWN if (known := [found[name] for name in group if name in found])]
    if len(centers) < 2:
        return False
    x, y = centers[-1] - centers[0]
    return bool(y > abs(x) / math.tan(math.radians(TILTED)))


def _tile(image: Image.Image) -> NDArray[np.uint8]:
    return fit_canvas(image, letterbox_geometry((image.height, image.width), (TILE, TILE)), (TILE, TILE))


def _surest_people(found: RawPrediction) -> list[float]:
    """Return the highest score of a person in each tile, in reading order; a person is where most of its joints are."""
    scores = [0.0] * 4
    for joints, score in zip(found.keypoints, found.person_score, strict=True):
        if score > 0:
            x, y = np.median(joints[joints[:, 2] > 0, :2], axis=0)
            tile = 2 * int(y >= TILE) + int(x >= TILE)
            scores[tile] = max(scores[tile], float(score))
    return scores


def _log_odds(score: float) -> float:
    score = min(max(score, 1e-3), 1 - 1e-3)
    return math.log(score / (1 - score))
