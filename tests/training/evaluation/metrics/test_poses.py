"""Joint metrics against pycocotools' own numbers and cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.cocoeval import COCOeval

from tests.training.evaluation.metrics.drawn_poses import FLIP, SIGMAS, K, nobody, poses, scene
from training.evaluation.metrics.detection_errors import PersonErrors, person_errors
from training.evaluation.metrics.poses import Poses, ap_difference, joint_metrics, keypoint_ap, oks


def ap(image: Poses, name: str = "AP") -> float:
    return keypoint_ap([image], SIGMAS, resamples=2)[name]


def test_oks_by_hand() -> None:
    gt, found = np.zeros((1, K, 3)), np.zeros((1, K, 3))
    gt[0, :3] = (10, 10, 2), (20, 10, 1), (30, 30, 0)  # the third is not labelled
    found[0, :3] = (10, 10, 0.9), (20 + 2 * 0.025 * 30, 10, 0.8), (0, 0, 0.7)
    assert oks(gt, np.array([900.0]), found, SIGMAS)[0, 0] == pytest.approx((1 + math.exp(-0.5)) / 2)
    found[0, 0] = 10, 10, 0  # not found, though the place is right
    assert oks(gt, np.array([900.0]), found, SIGMAS)[0, 0] == pytest.approx(math.exp(-0.5) / 2)


def test_oks_as_pycocotools() -> None:
    gt, area, _ = scene(3)
    gt[1, 4:9, 2] = 0
    found = gt[[2, 0]] + np.random.default_rng(0).normal(0, 4, (2, K, 3))
    found[:, :, 2] = 1
    reference = COCOeval(iouType="keypoints")
    reference._gts = {(0, 1): [{"keypoints": t.ravel(), "area": a, "bbox": [0] * 4} for t, a in zip(gt, area)]}  # noqa: B905
    reference._dts = {(0, 1): [{"keypoints": f.ravel(), "score": 1.0} for f in found]}
    np.testing.assert_allclose(oks(gt, area, found, SIGMAS).T, reference.computeOks(0, 1), rtol=1e-9)


def test_perfect_people_score_one() -> None:
    gt, area, height = scene(3)
    metrics = keypoint_ap([poses(gt, area, height, gt)], SIGMAS, resamples=5)
    assert metrics["AP"] == metrics["AP50"] == metrics["AP75"] == metrics["AR"] == metrics["AP_h96"] == pytest.approx(1)
    assert metrics["AP_interval"] == pytest.approx([1, 1])


def test_ap_is_zero_without_predictions_and_undefined_without_labels() -> None:
    gt, area, height = scene(2)
    assert ap(poses(gt, area, height, nobody())) == 0
    empty = poses(nobody(), np.zeros(0), np.zeros(0), gt)
    assert math.isnan(ap(empty))
    assert math.isnan(keypoint_ap([], SIGMAS)["AP_h96"])


def test_one_of_two_found() -> None:
    gt, area, height = scene(2)
    assert ap(poses(gt, area, height, gt[:1])) == pytest.approx(51 / 101)  # recalls 0, .01 .. .5


def test_a_duplicate_between_two_right_ones() -> None:
    gt, area, height = scene(2)
    expected = (51 + 50 * 2 / 3) / 101  # precision 1 up to recall .5, then 2/3
    assert ap(poses(gt, area, height, gt[[0, 0, 1]])) == pytest.approx(expected)


def test_an_inaccurate_pose_passes_some_thresholds() -> None:
    gt, area, height = scene(1)
    spread = np.sqrt(-2 * np.log(0.72) * area[0]) * 2 * np.array(SIGMAS)  # OKS .72: .50 to .70, five of ten thresholds
    found = gt.copy()
    found[0, :, 0] += spread
    image = poses(gt, area, height, found)
    assert (ap(image), ap(image, "AP50"), ap(image, "AP75")) == pytest.approx((0.5, 1, 0))


def test_a_joint_that_was_not_found_is_not_at_the_origin() -> None:
    gt = np.zeros((1, K, 3))
    gt[0, :2] = (0, 0, 2), (50, 50, 2)
    found = gt.copy()
    found[0, 0] = 0
    image = poses(gt, np.array([5000.0]), np.array([150.0]), found)
    assert ap(image) == pytest.approx(0.1)  # OKS .5: the lowest of ten thresholds


def test_false_positives_lower_ap_unless_they_are_ignored() -> None:
    gt, area, height = scene(1)
    away = np.add(gt, (300, 0, 0))
    image = poses(gt, area, height, np.concatenate([away, gt]))
    assert ap(image) == pytest.approx(0.5)
    dt_ignore = replace(image, dt_ignore=np.array([True, True]))
    assert ap(dt_ignore) == pytest.approx(1)


def test_a_false_person_of_one_joint_counts() -> None:
    gt, area, height = scene(1)
    speck = np.zeros((1, K, 3))
    speck[0, 0] = 250, 250, 0.8
    image = poses(gt, area, height, np.concatenate([speck, gt]))
    image = replace(image, found_height=np.array([0.0, 150.0]), found_area=np.array([0.0, 5000.0]))
    assert ap(image) == pytest.approx(0.5)


def test_short_people_do_not_count_as_tall() -> None:
    gt, area, _ = scene(2)
    image = poses(gt, area, np.array([150.0, 96.0]), gt[:1])
    assert ap(image, "AP_h96") == pytest.approx(1)
    assert ap(image) == pytest.approx(51 / 101)


def test_sizes_follow_the_labelled_area() -> None:
    gt, _, height = scene(2)
    image = poses(gt, np.array([5000.0, 20000.0]), height, gt[:1])
    assert ap(image, "AP_medium") == pytest.approx(1)
    assert ap(image, "AP_large") == 0


def test_a_person_without_labelled_joints_is_left_out() -> None:
    gt, area, height = scene(2)
    gt = gt.copy()
    found = gt[:1].copy()
    gt[1, :, 2] = 0
    image = poses(gt, area, height, found)
    assert ap(image) == pytest.approx(1)
    assert person_errors([image], SIGMAS, FLIP) == PersonErrors(notable=1, labelled=1, matched=1)


def test_the_interval_spans_images_that_differ() -> None:
    good, bad = scene(1, seed=1), scene(1, seed=2)
    images = [poses(*good, good[0])] * 10 + [poses(*bad, nobody())] * 10
    metrics = keypoint_ap(images, SIGMAS)
    low, high = metrics["AP_interval"]
    assert 0.2 < low < metrics["AP"] < high < 0.8


def test_metrics_of_each_joint() -> None:
    gt, area, height = scene(3)
    gt = gt.copy()
    gt[:, :, 2] = 2
    found = gt[:2].copy()
    found[0, 5, 0] += 0.1 * np.sqrt(area[0])  # within 1.18 of 2 sigma = 0.158
    found[0, 9, 0] += 0.5 * np.sqrt(area[0])
    found[1, 9] = 0
    metrics = joint_metrics([poses(gt, area, height, found)], SIGMAS)
    expected = np.full(K, 2 / 3)
    expected[9] = 0
    np.testing.assert_allclose(metrics["recall"], expected)
    assert metrics["median_error"][5] == pytest.approx((0.1 + 0) / 2, abs=1e-6)
    assert metrics["median_error"][9] == pytest.approx(0.5, abs=1e-6)  # of where it was found
    assert metrics["median_error"][0] == 0


def test_joints_without_labels_have_no_metrics() -> None:
    gt, area, height = scene(1)
    gt = gt.copy()
    gt[:, 3, 2] = 0
    metrics = joint_metrics([poses(gt, area, height, gt), poses(nobody(), area[:0], height[:0], gt)], SIGMAS)
    assert np.isnan([metrics["recall"][3], metrics["median_error"][3]]).all()
    assert metrics["recall"][4] == 1
    unfound = joint_metrics([poses(gt, area, height, nobody())], SIGMAS)
    assert unfound["recall"][4] == 0
    assert np.isnan(unfound["median_error"]).all()


def test_a_difference_of_ap_is_of_the_same_images() -> None:
    """Images that are all right or all wrong, for both parsers alike, except that the second fails at one more."""
    gt, area, height = scene()
    right, wrong = poses(gt, area, height, gt), poses(gt, area, height, gt + 500)
    first = [right, right, right, wrong, wrong, right]
    second = [right, right, right, wrong, wrong, wrong]
    difference, (low, high) = ap_difference(first, second, SIGMAS, resamples=60)
    both = [keypoint_ap(images, SIGMAS, resamples=2) for images in (first, second)]
    assert difference == pytest.approx(both[0]["AP"] - both[1]["AP"])
    assert difference > 0.1
    assert low == 0  # a draw without the sixth image: nothing else moves the difference
    assert 0.2 < high < 1
    assert ap_difference(first, first, SIGMAS, resamples=5) == (0, [0, 0])
    nothing, interval = ap_difference([], [], SIGMAS)
    assert np.isnan([nothing, *interval]).all()


def test_ap50_of_tall_people() -> None:
    """Joints displaced so far that only the lowest thresholds are met; the small person is not asked for."""
    gt, area, height = scene()
    found = gt.copy()
    found[..., 0] += 0.8 * 2 * np.asarray(SIGMAS) * np.sqrt(area)[:, None]  # OKS exp(-0.32) = .726
    image = poses(gt, area, height, found)
    assert ap(image, "AP50_h96") == pytest.approx(1)
    assert ap(image, "AP_h96") == pytest.approx(0.5)
    assert ap(replace(image, height=np.full(2, 90.0)), "AP50_h96") != ap(image, "AP50_h96")
