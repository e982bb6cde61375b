from __future__ import annotations

import numpy as np
import pytest
import torch

from model.decoder.grouping import collect_people, label_fragments
from model.decoder.peaks import Candidates
from model.taxonomy import DENSEPOSE_COCO, MHP_V2, Taxonomy

Joint = tuple[int, int]  # class, candidate

NONE = torch.zeros(1, dtype=torch.int32)  # candidates beyond the limit


def random_matches(taxonomy: Taxonomy, count: int, seed: int) -> tuple[Candidates, torch.Tensor]:
    """Two images of valid candidates, each limb with a random partial one-to-one matching of them."""
    g = np.random.default_rng(seed)
    joints = len(taxonomy.joint_names)
    valid = g.random((2, joints, count)) < 0.7
    score = np.where(valid, g.uniform(0.7, 1, valid.shape), 0).astype(np.float32)
    xy = g.uniform(0, 30, (2, joints, count, 2)).astype(np.float32)
    matches = np.zeros((2, len(taxonomy.limbs), count, count), np.float32)
    for image, limb in np.ndindex(*matches.shape[:2]):
        a, b = taxonomy.limbs[limb]
        rows, cols = (g.permutation(np.flatnonzero(valid[image, k])) for k in (a, b))
        for row, col in zip(rows, cols, strict=False):
            matches[image, limb, row, col] = g.random() < 0.6
    tensors = (torch.from_numpy(t) for t in (xy, score, valid))
    return Candidates(*tensors, NONE), torch.from_numpy(matches)


def naive_fragments(taxonomy: Taxonomy, valid: np.ndarray, matches: np.ndarray) -> list[set[Joint]]:
    """Sets of joints, merged pair by pair in the order of limbs unless they share a class."""
    home = {(int(k), int(n)): {(int(k), int(n))} for k, n in np.argwhere(valid)}
    for (a, b), match in zip(taxonomy.limbs, matches, strict=True):
        for n, m in np.argwhere(match):
            first, second = home[a, n], home[b, m]
            if not {k for k, _ in first} & {k for k, _ in second}:
                first |= second
                for joint in second:
                    home[joint] = first
    return list({id(fragment): fragment for fragment in home.values()}.values())


@pytest.mark.parametrize("taxonomy", [DENSEPOSE_COCO, MHP_V2], ids=lambda t: t.name)
@pytest.mark.parametrize("seed", range(4))
def test_fragments_are_those_of_merging_pair_by_pair(taxonomy: Taxonomy, seed: int) -> None:
    candidates, matches = random_matches(taxonomy, 6, seed)
    labels = label_fragments(matches, taxonomy.limbs)
    for image in range(2):
        expected = naive_fragments(taxonomy, candidates.valid[image].numpy(), matches[image].numpy())
        found: dict[float, set[Joint]] = {}
        for k, n in np.argwhere(candidates.valid[image].numpy()):
            found.setdefault(labels[image, k, n].item(), set()).add((int(k), int(n)))
        assert sorted(map(sorted, found.values())) == sorted(map(sorted, expected))


@pytest.mark.parametrize("people", [3, 40])
def test_people_are_the_best_fragments(people: int) -> None:
    candidates, matches = random_matches(DENSEPOSE_COCO, 6, 9)
    labels = label_fragments(matches, DENSEPOSE_COCO.limbs)
    poses = collect_people(candidates, labels, people, 0.1)
    for image in range(2):
        fragments = naive_fragments(DENSEPOSE_COCO, candidates.valid[image].numpy(), matches[image].numpy())
        scored = [(sum(candidates.score[image, k, n].item() for k, n in f) / 17, f) for f in fragments]
        kept = sorted((s for s in scored if s[0] >= 0.1), key=lambda s: -s[0])
        assert poses.overflow[image] == max(len(kept) - people, 0)
        for slot in range(people):
            score, fragment = kept[slot] if slot < len(kept) else (0.0, set())
            assert poses.score[image, slot].item() == pytest.approx(score, abs=1e-6)
            expected = np.zeros((17, 3), np.float32)
            for k, n in fragment:
                expected[k] = (*candidates.xy_cell[image, k, n], candidates.score[image, k, n])
            np.testing.assert_allclose(poses.xy_cell[image, slot], expected[:, :2], atol=1e-6)
            np.testing.assert_allclose(poses.joint_score[image, slot], expected[:, 2], atol=1e-6)
            np.testing.assert_array_equal(poses.found[image, slot], expected[:, 2] > 0)


def single_joints(*valid: Joint) -> Candidates:
    """Candidates of COCO joints at (class, candidate), score 1, none matched."""
    mask = torch.zeros(1, 17, 4, dtype=torch.bool)
    for k, n in valid:
        mask[0, k, n] = True
    xy = torch.arange(17 * 4.0).reshape(1, 17, 4, 1).expand(1, 17, 4, 2)
    return Candidates(xy, mask.float(), mask, NONE)


def test_single_joints_are_people_if_the_threshold_lets_them() -> None:
    candidates = single_joints((3, 1), (3, 2), (16, 0))
    labels = label_fragments(torch.zeros(1, 20, 4, 4), DENSEPOSE_COCO.limbs)
    poses = collect_people(candidates, labels, 5, 0.05)
    torch.testing.assert_close(poses.score, torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0]]) / 17)
    assert poses.found.nonzero().tolist() == [[0, 0, 3], [0, 1, 3], [0, 2, 16]]  # equal scores: class, then candidate
    assert not collect_people(candidates, labels, 5, 0.1).score.any()


def test_no_joints_are_no_people() -> None:
    labels = label_fragments(torch.zeros(1, 20, 4, 4), DENSEPOSE_COCO.limbs)
    poses = collect_people(single_joints(), labels, 5, 0.0)
    assert not any(t.any() for t in poses._replace(label=poses.label + 1))


def test_a_bridge_joins_a_broken_tree_but_not_two_people() -> None:
    # Shoulders without a nose are two fragments; the limb 5-6 makes them one, unless both bring a left elbow.
    shoulders = DENSEPOSE_COCO.limbs.index((5, 6))
    matches = torch.zeros(1, 20, 4, 4)
    matches[0, shoulders, 0, 0] = 1
    labels = label_fragments(matches, DENSEPOSE_COCO.limbs)
    assert labels[0, 5, 0] == labels[0, 6, 0]
    ear_shoulder, hips, trunk, other_trunk = (
        DENSEPOSE_COCO.limbs.index(limb) for limb in ((3, 5), (11, 12), (5, 11), (6, 12))
    )
    matches[0, trunk, 0, 0] = matches[0, other_trunk, 0, 1] = 1
    matches[0, hips, 0, 2] = 1  # a right hip that is not the one below the right shoulder
    matches[0, ear_shoulder, 1, 0] = 1
    labels = label_fragments(matches, DENSEPOSE_COCO.limbs)
    assert labels[0, 11, 0] == labels[0, 12, 1] == labels[0, 3, 1]
    assert labels[0, 12, 2] != labels[0, 11, 0]
