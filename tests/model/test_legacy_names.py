"""What earlier versions stored is read under today's names."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model import legacy_names
from model.checkpoint import load_parser, read_checkpoint, save_checkpoint
from model.config import DecoderConfig, ModelConfig
from model.manifest import Manifest
from model.network import Network

DEFAULT = Path(__file__).parents[2] / "bundles/default"


def test_keys_at_every_depth_are_renamed_and_values_are_not() -> None:
    names = {"old": "new"}
    assert legacy_names.current({"old": [{"old": "old"}, 1], "other": ({"old": None},)}, names) == {
        "new": [{"new": "old"}, 1],
        "other": ({"new": None},),
    }


def old_fields(config: ModelConfig | DecoderConfig, names: dict[str, str]) -> dict[str, Any]:
    """The fields of `config` as an earlier version stored them."""
    old = {new: name for name, new in names.items()}
    assert old.keys() <= asdict(config).keys()
    return {old.get(name, name): value for name, value in asdict(config).items()}


def test_configurations_of_an_old_manifest_are_read_and_written_under_todays_names() -> None:
    manifest = Manifest.from_json((DEFAULT / "manifest.json").read_text(encoding="utf-8"))
    value = json.loads(manifest.to_json())
    old = {
        "model": old_fields(manifest.model, legacy_names.MODEL),
        "decoder": old_fields(manifest.decoder, legacy_names.DECODER),
    }
    assert {"width", "refine"} <= old["model"].keys()
    assert {"candidates", "people"} <= old["decoder"].keys()
    assert Manifest.from_json(json.dumps({**value, **old})) == manifest
    assert value["model"].keys() == asdict(ModelConfig()).keys()
    assert value["decoder"].keys() == asdict(DecoderConfig()).keys()


def test_a_checkpoint_with_old_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    model = ModelConfig(backbone="resnet18", hidden_dim=16, refinement_dim=8)
    decoder = DecoderConfig(max_candidates=7, max_people=5)
    network = Network(model)
    save_checkpoint(path, network.state_dict(), model, decoder, identity={"batch": 8, "stages": ({"decay": "cosine"},)})
    value = torch.load(path, weights_only=True)
    assert value["model_config"]["hidden_dim"] == 16  # written under today's name
    value["model_config"] = old_fields(model, legacy_names.MODEL)
    value["decoder_config"] = old_fields(decoder, legacy_names.DECODER)
    torch.save(value, path)

    parser = load_parser(path)
    assert (parser.network.config, parser.decoder.config) == (model, decoder)
    assert read_checkpoint(path)["identity"] == {"batch_size": 8, "stages": ({"lr_schedule": "cosine"},)}


def test_metrics_of_an_old_manifest_are_read_and_written_under_todays_names() -> None:
    value = json.loads((DEFAULT / "manifest.json").read_text(encoding="utf-8"))
    persons = {"swapped": 3, "extra": 4, "nobody_found": 0.98, "people_found_there": 1}
    value["accuracy"]["standard"] = {"keypoints": {"AP_tall": 0.5}, "persons": persons}
    accuracy = Manifest.from_json(json.dumps(value)).accuracy["standard"]
    assert accuracy["keypoints"] == {"AP_h96": 0.5}
    assert accuracy["persons"] == {
        "inversions": 3, "false_positives": 4, "true_negative_rate": 0.98, "negative_false_positives": 1,
    }  # fmt: skip
