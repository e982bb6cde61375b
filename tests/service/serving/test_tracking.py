"""Ids over the frames of a stream."""

from __future__ import annotations

import numpy as np

from service.responses.schemas import Person
from service.serving.tracking import FIRST_SCORE, MEMORY_SECONDS, PeopleTracker

FRAME = 0.1  # seconds


def person(x: float, y: float = 100, score: float = 0.9, size: tuple[float, float] = (80, 200)) -> Person:
    return Person(
        id=1, score=score, bbox=(x, y, *size), area=1, keypoints=[], keypoint_scores=[], segmentation=None, parts=[]
    )


def test_ids_follow_people_whatever_their_order_in_the_response() -> None:
    tracker = PeopleTracker()
    ids_by_frame = []
    for number in range(20):
        left, right = person(100 + 12 * number), person(900 - 6 * number, 130)
        people = [left, right] if number % 2 else [right, left]
        ids = tracker.update(people, FRAME * number)
        ids_by_frame.append(ids if number % 2 else ids[::-1])
    assert ids_by_frame == [[2, 1]] * 20  # the first frame lists the right one first


def test_a_camera_that_turns_to_and_fro_mixes_nobody_up() -> None:
    tracker = PeopleTracker()
    for number in range(24):
        shift = 120 * np.sin(0.4 * number)  # up to half a person a frame
        assert tracker.update([person(120 * i + shift) for i in range(5)], FRAME * number) == [1, 2, 3, 4, 5]


def test_somebody_who_is_lost_for_a_moment_or_unsure_keeps_the_id() -> None:
    tracker = PeopleTracker()
    seen = []
    for number in range(20):
        score = FIRST_SCORE / 2 if 12 <= number < 15 else 0.9
        people = [] if 6 <= number < 10 else [person(100 + 8 * number, score=score)]
        seen += tracker.update(people, FRAME * number)
    assert seen == [1] * 16


def test_somebody_who_comes_back_late_or_elsewhere_is_new() -> None:
    tracker = PeopleTracker()
    assert tracker.update([person(100)], 0.0) == [1]
    assert tracker.update([person(700)], FRAME) == [2]
    assert tracker.update([], MEMORY_SECONDS * 2) == []
    assert tracker.update([person(100)], MEMORY_SECONDS * 2 + FRAME) == [3]


def test_nobody_is_tracked_before_a_sure_sight() -> None:
    tracker = PeopleTracker()
    assert tracker.update([person(100, score=FIRST_SCORE / 2)], 0.0) == [None]
    assert tracker.update([person(100, score=0.8), person(600, score=0.1)], FRAME) == [1, None]


def test_a_person_without_a_box_harms_nobody() -> None:
    tracker = PeopleTracker()
    for number in range(5):
        ids = tracker.update([person(100), person(0, 0, size=(0, 0))], FRAME * number)
        assert ids[0] == 1


def test_a_long_stream_keeps_no_ids_of_the_gone() -> None:
    tracker = PeopleTracker()
    x = np.random.default_rng(0).uniform(0, 5000, 300)
    for number in range(300):
        tracker.update([person(x[number])], number * MEMORY_SECONDS)
    assert len(tracker._ids) < 5
