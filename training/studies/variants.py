"""Variants of a recipe, read from a TOML file, and their training budget."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from model.config import apply_overrides
from model.errors import InputError
from training.config.recipes import ABLATIONS
from training.config.train_config import TrainConfig
from training.data.samples import DatasetError
from training.engine.schedule import Schedule
from training.studies.training_speed import measure_speed
from training.transforms.training_set import TrainingSet

TIMED = 10  # steps per throughput measurement of a plan


@dataclass(frozen=True)
class Variant:
    """A recipe with overrides, and its initial weights."""

    name: str  # of its row and folders
    description: str
    set: tuple[str, ...] = ()  # NAME=VALUE, as `apply_overrides` takes them
    pretrained: Path | None = None  # public checkpoint of the backbone
    weights: Path | None = None  # checkpoint of an earlier run

    def config(self, base: TrainConfig, seed: int) -> TrainConfig:
        """Return the recipe to train. Raises InputError, naming the variant, for invalid overrides."""
        try:
            config = apply_overrides(base, self.set)
        except InputError as error:
            raise InputError(f"variant {self.name}: {error}") from None
        if config.model.taxonomy != base.model.taxonomy:
            raise InputError(f"variant {self.name}: its parts are not the recipe's; compare recipes of one taxonomy")
        return replace(config, seed=seed)


@dataclass(frozen=True)
class Budget:
    """Training budget per variant: steps or minutes; default: the recipe's steps."""

    steps: int | None = None
    minutes: float | None = None

    def plan(self, config: TrainConfig, data: TrainingSet) -> int:
        """Return the steps of a run. Minutes are converted by timing some steps, which are not part of the budget."""
        schedule = Schedule(config.stages, data.epoch_steps, self.steps)
        if self.minutes is None:
            return schedule.steps
        speed = measure_speed(config, data, TIMED)["images_per_second"]
        seconds = config.batch_size / speed["together"]
        matching = sum(n for s, n in zip(schedule.stages, schedule.lengths, strict=True) if s.matching) / schedule.steps
        if matching:
            seconds += matching * config.batch_size * (1 / speed["step_matching"] - 1 / speed["step"])
        return max(int(60 * self.minutes / seconds), len(config.stages))


def read_variants(path: Path, base: TrainConfig, pretrained: Path | None = None) -> list[Variant]:
    """Read the variants of a TOML file: one table per variant; paths in it are relative to the file.

    A variant without `pretrained` and with the backbone of `base` starts from the `pretrained` given here. Raises
    DatasetError if the file cannot be read, InputError for an invalid variant.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DatasetError(f"{path} cannot be read ({error}): write a TOML table for each variant") from None
    if not tables:
        raise DatasetError(f"{path} holds no variant: write a TOML table for each")
    variants = [_variant(path, name, table) for name, table in tables.items()]
    for i, variant in enumerate(variants):
        same_backbone = variant.config(base, base.seed).model.backbone == base.model.backbone
        if variant.pretrained is None and variant.weights is None and same_backbone:
            variants[i] = replace(variant, pretrained=pretrained)
    return variants


def _variant(path: Path, name: str, table: object) -> Variant:
    if not isinstance(table, dict):
        raise InputError(f"{path}: {name} stands outside of a table; write a table [NAME] for each variant")
    if not re.fullmatch(r"[\w.+-]+", name) or name in ABLATIONS:
        raise InputError(f"{path}: {name!r} cannot name a folder and a row; choose other letters, digits, - and _")
    values = {"set": [], "pretrained": "", "weights": "", **table}
    kinds = {"description": str, "set": list, "pretrained": str, "weights": str}
    wrong = sorted(key for key in kinds.keys() | values.keys() if not isinstance(values.get(key), kinds.get(key, ())))
    if wrong or not all(isinstance(text, str) for text in values["set"]):
        raise InputError(
            f"{path}: variant {name}: {', '.join(wrong) or 'set'}; it takes the texts description (always), pretrained "
            'and weights, and a list of texts set = ["NAME=VALUE"]'
        )
    files = {key: path.parent / values[key] if values[key] else None for key in ("pretrained", "weights")}
    for file in files.values():
        if file is not None and not file.exists():
            raise DatasetError(f"{path}: variant {name}: there is no {file}; its path is taken from the TOML's folder")
    return Variant(name, values["description"], tuple(values["set"]), **files)
