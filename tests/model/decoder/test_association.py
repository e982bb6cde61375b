from __future__ import annotations

import numpy as np
import pytest
import torch

from model.decoder.association import assign_cells, part_distances, person_scale, within_reach
from model.decoder.grouping import Poses


def poses_of(keypoints: np.ndarray) -> Poses:
    """keypoints: [B, P, K, 3], x, y in cells, score; 0 = not found."""
    points = torch.from_numpy(keypoints.astype(np.float32))
    score = points[..., 2]
    found = score > 0
    xy = points[..., :2] * found[..., None]
    return Poses(xy, score, found, score.mean(2), torch.zeros(len(points), dtype=torch.int32), -score.mean(2))


def naive_scale(pose: np.ndarray) -> float:
    points = pose[pose[:, 2] > 0, :2]
    if not len(points):
        return 2.0
    width, height = points.max(0) - points.min(0)
    return float(max(np.sqrt(width * height), width / 2, height / 2, 2.0))


@pytest.mark.parametrize("power", [1.0, 0.5, 0.0])
def test_cells_go_to_the_person_with_the_smallest_psi(power: float) -> None:
    g = np.random.default_rng(0)
    keypoints = g.uniform(0, 20, (2, 4, 6, 3))
    keypoints[..., 2] = np.where(g.random((2, 4, 6)) < 0.6, g.uniform(0.7, 1, (2, 4, 6)), 0)
    keypoints[0, 2, :, 2] = 0  # an empty slot
    keypoints[1, 1, :, 2] = [0, 0, 0.8, 0, 0, 0]  # a single joint
    field = 4 * g.standard_normal((2, 2, 12, 20)).astype(np.float32)
    person, distance = assign_cells(torch.from_numpy(field), poses_of(keypoints), power)
    for b, i, j in np.ndindex(2, 12, 20):
        target = np.array((j, i)) + field[b, :, i, j]
        psi = []
        for pose in keypoints[b]:
            seen = pose[pose[:, 2] > 0]
            size = naive_scale(pose) ** power
            mean = seen[:, 2].mean() if len(seen) else 0
            psi.append(
                min(
                    (np.hypot(*(target - (x, y))) / ((score + mean) * size) for x, y, score in seen),
                    default=np.inf,
                )
            )
        best = np.sort(psi)
        if best[1] - best[0] > 1e-4:
            assert person[b, i, j] == np.argmin(psi)
        assert float(distance[b, i, j]) == pytest.approx(best[0], rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0, 0), (4, 9)], 6.0),
        ([(3, 0), (3, 30)], 15.0),  # in a line: as if 1:4
        ([(5, 5)], 2.0),  # 8 canvas pixels
        ([], 2.0),
    ],
)
def test_scale_is_never_zero(points: list[tuple[float, float]], expected: float) -> None:
    keypoints = np.zeros((1, 1, 3, 3))
    keypoints[0, 0, : len(points), :2] = np.reshape(points, (-1, 2))
    keypoints[0, 0, : len(points), 2] = 0.9
    assert person_scale(poses_of(keypoints)).item() == pytest.approx(expected)


def test_the_first_of_equal_people_wins_and_nobody_is_finite() -> None:
    twins = np.array([[[[2, 3, 0.9]], [[8, 3, 0.9]], [[0, 0, 0]]]], dtype=float)  # mirrored about x = 5
    person, _ = assign_cells(torch.zeros(1, 2, 7, 11), poses_of(twins))
    assert person[0, :, 5].tolist() == [0] * 7
    assert person[0, 3].tolist() == [0] * 6 + [1] * 5
    nobody, distance = assign_cells(torch.zeros(1, 2, 7, 11), poses_of(np.zeros((1, 2, 3, 3))))
    assert not nobody.any()
    assert distance.min() > 1e3


def test_the_lower_the_power_the_less_a_large_person_takes_from_a_small_one() -> None:
    keypoints = np.zeros((1, 2, 2, 3))
    keypoints[0, 0] = [(0, 0, 0.9), (16, 16, 0.9)]
    keypoints[0, 1] = [(29, 16, 0.9), (33, 20, 0.9)]  # a quarter of the size, 13 cells to the right
    ends = []
    for power in (1.0, 0.5, 0.0):
        person, _ = assign_cells(torch.zeros(1, 2, 40, 40), poses_of(keypoints), power)
        ends.append(int((person[0, 16, 16:29] == 0).sum()))
    assert ends == [11, 9, 7]  # up to 10.4 of the 13 cells, to 8.7, to half of them


def test_the_fewer_joints_were_found_the_farther_a_person_reaches() -> None:
    keypoints = np.zeros((1, 3, 4, 3))
    keypoints[0, 0] = [(0, 0, 0.9), (4, 0, 0.9), (0, 8, 0.9), (4, 8, 0.9)]
    keypoints[0, 1] = [(20, 0, 0.9), (24, 8, 0.9), (20, 8, 0.05), (24, 0, 0.05)]  # two of four were placed
    psi = torch.tensor([[[0.25, 0.26, 0.5, 0.51, 1.0, 1.01]]])
    person = torch.tensor([[[0, 0, 1, 1, 2, 2]]])  # the last one has no joint: as if one of four
    poses = poses_of(keypoints)
    owned = within_reach(person, psi, poses, limit=0.25, placed_score=0.05)
    assert owned.tolist() == [[[True, False] * 3]]
    of_size = person_scale(poses).gather(1, person.flatten(1)).reshape(psi.shape)
    assert within_reach(person, psi * of_size**0.5, poses, 0.25, 0.05, power=0.5).equal(owned)


def test_a_part_is_as_far_as_the_mean_of_its_joints_that_were_found() -> None:
    keypoints = np.zeros((1, 3, 3, 3))
    keypoints[0, 0] = [(2, 2, 0.9), (6, 2, 0.9), (4, 8, 0.9)]
    keypoints[0, 1, 0] = (10, 5, 0.9)  # one of the first part's two joints; the last slot is empty
    joints_of_part = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    logits = torch.zeros(1, 3, 9, 12)
    logits[:, 0] = 9.0  # the background is likeliest, and does not count
    logits[:, 2, :, 6:] = 1.0  # columns 6 and on are of the second part
    logits[:, 1, :, :6] = 1.0
    distance = part_distances(logits, poses_of(keypoints), joints_of_part).reshape(1, 3, 9, 12)
    for i, j in np.ndindex(9, 12):
        expected = [np.hypot(j - 4, i - 2), np.hypot(j - 10, i - 5)] if j < 6 else [np.hypot(j - 4, i - 8), 0.0]
        assert distance[0, :2, i, j].tolist() == pytest.approx(expected, abs=1e-5)
    assert not distance[0, 2].any()


def test_a_cell_goes_to_the_person_whose_part_it_may_be() -> None:
    """The field of the left one's torso ends at the elbow of the right one, who is nearer by that alone."""
    keypoints = np.zeros((1, 2, 3, 3))
    keypoints[0, 0] = [(2, 0, 0.9), (2, 8, 0.9), (2, 4, 0.0)]
    keypoints[0, 1] = [(18, 0, 0.9), (18, 8, 0.9), (6, 4, 0.9)]
    poses, field = poses_of(keypoints), torch.zeros(1, 2, 9, 20)
    by_field, _ = assign_cells(field, poses)
    distance = torch.tensor([[2.0, 24.0]])[..., None].expand(1, 2, 9 * 20)  # to the middle of either torso
    by_part, psi = assign_cells(field, poses, part_distance=distance)
    assert (by_field[0, 4, 5], by_part[0, 4, 5]) == (1, 0)
    scale = person_scale(poses)[0, 0]
    assert psi[0, 4, 5].item() == pytest.approx(5 / 1.8 / scale.item())  # to the left one's joints, without the parts


def test_no_distance_to_parts_changes_nothing() -> None:
    g = np.random.default_rng(1)
    keypoints = np.concatenate((g.uniform(0, 20, (1, 3, 4, 2)), g.uniform(0.5, 1, (1, 3, 4, 1))), -1)
    field = torch.from_numpy(g.standard_normal((1, 2, 8, 9)).astype(np.float32))
    for power in (1.0, 0.5):
        plain = assign_cells(field, poses_of(keypoints), power)
        again = assign_cells(field, poses_of(keypoints), power, torch.zeros(1, 3, 72))
        assert all(one.equal(other) for one, other in zip(plain, again, strict=True))
