"""One answer from two canvases of an image: each person from the canvas that is surer of them.

Backbones know people of the sizes that they were trained on: on a canvas of 512 px a person who fills it is larger
than any that MoveNet has seen, and on one of 256 px a distant person has too few pixels. Torch-free.

Differs from the paper, which uses one scale.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from model.contours import enlarge
from model.id_runs import PART_MASK, PERSON_SHIFT
from model.letterbox import Letterbox
from model.raw_prediction import RawPrediction

EVEN = 200.0  # pixels of the fine canvas: height of a person whom both canvases know equally well
SIGMA = 0.08  # of every joint, about COCO's mean for joints below the head
SAME = 0.25  # similarity of two poses from which they are one person's
CONTAINED = 0.7  # share of a person's pixels in somebody's mask of the other canvas from which they are one person
HALVES = 0.5  # two pieces of a person have at most this share of the joints found in the smaller one in common
ON_BODY = 0.5  # share of a piece's pixels in the mask of the whole person on the other canvas
LIKE = 0.3  # similarity of a piece's joints to those of the whole
FOUND = 0.1  # score of a joint that was found, above that of one placed by the person's center
JOINED = 0.5  # similarity of two poses from which the person has the joints of both
FAVOR = 4.0  # weight of a joint of the surer canvas, over an equally sure one of the other
REACH = 0.6  # of the person's height: as far as a joint of the other canvas may be from any of the surer one's
NEAR = 0.06  # of the person's height: joints of both canvases that are closer than that are averaged
AGREEMENT, USUAL = 1.9, 0.3  # log-odds of a person per similarity of the two poses beyond the usual one
_SMALLEST = 8.0  # pixels: lowest scale of a person

Float = NDArray[np.float64]
Points = NDArray[np.float32]


def unite(
    coarse: RawPrediction,
    fine: RawPrediction,
    box_coarse: Letterbox,
    box_fine: Letterbox,
) -> RawPrediction:
    """The people of both canvases in the frame of the fine one.

    People of similar pose are one person, with the pixels of the canvas that is surer of the person, and its joints;
    with the joints of both if the poses are very similar. Somebody whom only one canvas shows is kept, unless most of
    the person lies in the mask of somebody whom only the other shows: these are a piece and the whole. Two people of
    one canvas who have the joints of one person of the other between them are that person. The more alike the two
    poses, the higher the score; nobody's pose is alike on a canvas that does not show them. Pixels that two people
    claim are those of the one from the fine canvas. At most P people.

    Args:
        coarse, fine: of P slots each.
        box_coarse, box_fine: where the image lies in each canvas.
    """
    moved = _to_fine(coarse, box_coarse, box_fine, fine.part_map.shape)
    of_coarse, of_fine = _count(moved), _count(fine)
    similarity = pose_similarity(moved.keypoints[:of_coarse], fine.keypoints[:of_fine])
    pairs = match_greedily(similarity, SAME)
    alone_coarse = sorted(set(range(of_coarse)) - {row for row, _ in pairs})
    alone_fine = sorted(set(range(of_fine)) - {column for _, column in pairs})
    halves_coarse = _halves(moved, alone_coarse, fine, pairs)
    halves_fine = _halves(fine, alone_fine, moved, [(column, row) for row, column in pairs])
    taken_coarse = [
        row
        for row, column in pairs
        if row in halves_fine.values()
        or (column not in halves_coarse.values() and _coarse_is_surer(moved, row, fine, column))
    ]
    taken_fine = [column for row, column in pairs if row not in taken_coarse]
    taken_coarse += [r for r in alone_coarse if r not in halves_coarse and not _contained(moved, r, fine, alone_fine)]
    taken_fine += [c for c in alone_fine if c not in halves_fine and not _contained(fine, c, moved, alone_coarse)]

    joined_coarse, joined_fine = moved.keypoints.copy(), fine.keypoints.copy()
    alike_coarse, alike_fine = np.zeros(len(joined_coarse)), np.zeros(len(joined_fine))
    for row, column in pairs:
        alike_coarse[row] = alike_fine[column] = similarity[row, column]
        if similarity[row, column] >= JOINED:
            joined_coarse[row] = _join(moved.keypoints[row], fine.keypoints[column])
            joined_fine[column] = _join(fine.keypoints[column], moved.keypoints[row])
    moved = moved._replace(keypoints=joined_coarse, person_score=_scored(moved.person_score, alike_coarse))
    fine = fine._replace(keypoints=joined_fine, person_score=_scored(fine.person_score, alike_fine))
    return _painted(moved, fine, taken_coarse, taken_fine, max(coarse.overflow, fine.overflow))


def _coarse_is_surer(coarse: RawPrediction, row: int, fine: RawPrediction, column: int) -> bool:
    """Whether the odds of a person are higher on the coarse canvas, which counts more the taller the person is."""
    score, other = float(coarse.person_score[row]), float(fine.person_score[column])
    trust = (_height(fine.keypoints[column]) / EVEN) ** 2
    return score * (1 - other) * trust > other * (1 - score)


def _join(surer: Points, other: Points) -> Points:
    """One pose [K, 3] of the two that a person has: near joints averaged by weight, of others the weightier one.

    No joint of `other` that is far from all of the surer pose: it may be somebody else's.
    """
    own = surer[surer[:, 2] > 0, :2]
    if not len(own):
        return surer
    height = _height(surer)
    weight_surer, weight_other = FAVOR * surer[:, 2:], other[:, 2:]  # [K, 1], 0 where not found
    distance = np.hypot(*(surer[:, :2] - other[:, :2]).T)[:, None]
    nearest = np.hypot(*(other[:, None, :2] - own).T).min(0)[:, None]  # [K, 1], to a joint of the surer pose
    share = weight_other / np.maximum(weight_surer + weight_other, 1e-12)
    share = np.where(distance > NEAR * height, weight_other > weight_surer, share)
    share = np.where(nearest > REACH * height, 0, share)
    xy = surer[:, :2] + share * (other[:, :2] - surer[:, :2])
    score = np.where(share > 0, np.maximum(surer[:, 2:], other[:, 2:]), surer[:, 2:])
    joined: Points = np.concatenate((xy, score), 1).astype(np.float32)
    return joined


def _scored(score: NDArray[np.float32], similarity: Float) -> NDArray[np.float32]:
    """Scores [P], probabilities, of people whose pose has this `similarity` [P] to that on the other canvas."""
    odds = np.exp(AGREEMENT * (similarity - USUAL))
    scored: NDArray[np.float32] = (score * odds / (1 - score + score * odds)).astype(np.float32)
    return scored


def pose_similarity(first: Points, second: Points) -> Float:
    """Object keypoint similarity [n, m] of poses [n, K, 3] and [m, K, 3], over the joints that both have.

    Its scale is that of the larger pose, its tolerance the same for all joints. 0 for two poses without a joint in
    common.
    """
    both = (first[:, None, :, 2] > 0) & (second[None, :, :, 2] > 0)  # [n, m, K]
    mean: Float = _joint_similarity(first, second).sum(-1) / np.maximum(both.sum(-1), 1)
    return mean


def _joint_similarity(first: Points, second: Points) -> Float:
    """Of each joint [n, m, K]; 0 where one of the two poses does not have it."""
    square = ((first[:, None, :, :2].astype(float) - second[None, :, :, :2]) ** 2).sum(-1)  # [n, m, K]
    scale = np.maximum.outer(_scales(first), _scales(second))[..., None]  # [n, m, 1]
    both = (first[:, None, :, 2] > 0) & (second[None, :, :, 2] > 0)
    similarity: Float = np.exp(-square / (2 * (2 * SIGMA * scale) ** 2)) * both
    return similarity


def _scales(poses: Points) -> Float:
    """Square root of half the area of the box around each pose [n]: about that of the body's area."""
    found = poses[..., 2:] > 0
    low = np.where(found, poses[..., :2], np.inf).min(1, initial=np.inf)
    high = np.where(found, poses[..., :2], -np.inf).max(1, initial=-np.inf)
    sides = np.maximum(np.where(np.isfinite(high - low), high - low, 0.0), 0.0).astype(float)
    sides = np.maximum(sides, sides.max(1, keepdims=True, initial=0.0) / 4)  # seen from the side, people are not lines
    scale: Float = np.maximum(np.sqrt(sides.prod(1) / 2), _SMALLEST)
    return scale


def _height(pose: Points) -> float:
    """Of the box around a pose [K, 3]: its longer side, as people lie too."""
    points = pose[pose[:, 2] > 0, :2]
    return float((points.max(0) - points.min(0)).max()) if len(points) else 0.0


def match_greedily(similarity: Float, least: float) -> list[tuple[int, int]]:
    """One-to-one pairs (row, column) of [n, m] above `least`, the most alike first."""
    rest, pairs = similarity.copy(), []
    while rest.size and rest.max() > least:
        row, column = (int(i) for i in np.unravel_index(rest.argmax(), rest.shape))
        pairs.append((row, column))
        rest[row], rest[:, column] = 0, 0
    return pairs


def _contained(
    people: RawPrediction, slot: int, other: RawPrediction, others: list[int], share: float = CONTAINED
) -> bool:
    """Whether more than this share of a person's pixels are those of one of `others`, slots of the other canvas.

    Of somebody without pixels, no.
    """
    pixels = np.bincount(other.person_map[people.person_map == slot + 1], minlength=256)
    return bool(pixels.sum()) and max((int(pixels[i + 1]) for i in others), default=0) > share * pixels.sum()


def _halves(
    people: RawPrediction, alone: list[int], other: RawPrediction, pairs: list[tuple[int, int]]
) -> dict[int, int]:
    """Slots of `alone` that are a half of somebody whom the other canvas has whole, each with that person's slot there.

    The other half is the partner of the whole one in `pairs` (slot of `people`, slot of `other`).
    """
    return {
        slot: whole
        for slot in alone
        for half, whole in pairs
        if _common(people.keypoints[slot], people.keypoints[half]) <= HALVES
        and _likeness(people.keypoints[slot], other.keypoints[whole]) > LIKE
        and _contained(people, slot, other, [whole], ON_BODY)
    }


def _common(first: Points, second: Points) -> float:
    """Share of the joints found in the pose [K, 3] with fewer of them that the other has as well."""
    found, others = first[:, 2] > FOUND, second[:, 2] > FOUND
    return float((found & others).sum() / max(1, min(found.sum(), others.sum())))


def _likeness(piece: Points, whole: Points) -> float:
    """Similarity of a pose [K, 3] to that of a whole person: of all its joints, by their scores."""
    similarity = _joint_similarity(piece[None], whole[None])[0, 0]
    return float((piece[:, 2] * similarity).sum() / max(float(piece[:, 2].sum()), 1e-9))


def _count(people: RawPrediction) -> int:
    return int((people.person_score > 0).sum())


def _to_fine(people: RawPrediction, own: Letterbox, fine: Letterbox, size: tuple[int, ...]) -> RawPrediction:
    """`people` in the frame of another canvas of the same image: points exactly, maps with smooth contours."""
    keypoints = people.keypoints.copy()
    x, y = own.to_image(keypoints[..., 0], keypoints[..., 1])
    keypoints[..., 0], keypoints[..., 1] = fine.to_canvas(x, y)
    keypoints[people.keypoints[..., 2] <= 0] = 0
    ids = np.zeros(size, np.uint16)
    fine.content(ids)[:] = enlarge(people.ids(own), (fine.height, fine.width)).painted()
    part_map, person_map = (ids & PART_MASK).astype(np.uint8), (ids >> PERSON_SHIFT).astype(np.uint8)
    return people._replace(part_map=part_map, person_map=person_map, keypoints=keypoints)


def _painted(
    coarse: RawPrediction, fine: RawPrediction, of_coarse: list[int], of_fine: list[int], overflow: int
) -> RawPrediction:
    """The people of these slots, by falling score; those of the fine canvas are painted over the others."""
    chosen = [(coarse, slot) for slot in of_coarse] + [(fine, slot) for slot in of_fine]
    chosen.sort(key=lambda pair: -float(pair[0].person_score[pair[1]]))
    slots = len(fine.person_score)
    overflow += max(0, len(chosen) - slots)
    chosen = chosen[:slots]
    keypoints, scores = np.zeros_like(fine.keypoints), np.zeros_like(fine.person_score)
    part_scores = np.zeros_like(fine.part_score)
    names = {id(coarse): np.zeros(256, np.uint8), id(fine): np.zeros(256, np.uint8)}
    for new, (source, slot) in enumerate(chosen):
        keypoints[new], scores[new] = source.keypoints[slot], source.person_score[slot]
        part_scores[new] = source.part_score[slot]
        names[id(source)][slot + 1] = new + 1
    below, above = names[id(coarse)][coarse.person_map], names[id(fine)][fine.person_map]
    return RawPrediction(
        part_map=np.where(above > 0, fine.part_map, np.where(below > 0, coarse.part_map, 0)).astype(np.uint8),
        person_map=np.where(above > 0, above, below).astype(np.uint8),
        keypoints=keypoints,
        person_score=scores,
        part_score=part_scores,
        overflow=overflow,
    )
