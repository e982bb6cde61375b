"""What earlier versions stored is read under today's names."""

from __future__ import annotations

import json
from pathlib import Path

from model import legacy_names
from model.manifest import Manifest

DEFAULT = Path(__file__).parents[2] / "bundles/default"


def test_keys_at_every_depth_are_renamed_and_values_are_not() -> None:
    names = {"old": "new"}
    assert legacy_names.current({"old": [{"old": "old"}, 1], "other": ({"old": None},)}, names) == {
        "new": [{"new": "old"}, 1],
        "other": ({"new": None},),
    }


def test_metrics_of_an_old_manifest_are_read_and_written_under_todays_names() -> None:
    value = json.loads((DEFAULT / "manifest.json").read_text(encoding="utf-8"))
    persons = {"swapped": 3, "extra": 4, "nobody_found": 0.98, "people_found_there": 1}
    value["accuracy"]["standard"] = {"keypoints": {"AP_tall": 0.5}, "persons": persons}
    accuracy = Manifest.from_json(json.dumps(value)).accuracy["standard"]
    assert accuracy["keypoints"] == {"AP_h96": 0.5}
    assert accuracy["persons"] == {
        "inversions": 3, "false_positives": 4, "true_negative_rate": 0.98, "negative_false_positives": 1,
    }  # fmt: skip
