"""Variants of a recipe: trained with the same budget, and measured on the same images."""

from __future__ import annotations

import csv
import json
import re
import statistics
import time
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from model.canvases import CANVASES
from model.checkpoint import load_parser
from model.config import apply_overrides
from model.errors import InputError
from model.manifest import Size
from model.network import Network
from training.config.recipes import ABLATIONS
from training.config.train_config import TrainConfig
from training.data.samples import DatasetError
from training.engine.loop import train
from training.engine.run_checkpoint import FREE
from training.engine.schedule import Schedule
from training.evaluation.evaluate import evaluate
from training.inference.predictors import parse_with
from training.studies.ablation import REPORT, MeasuredOn
from training.studies.latency.machine import synchronize
from training.studies.training_speed import measure_speed
from training.transforms.training_set import TrainingSet

TIMED = 10  # steps per throughput measurement of a plan
NETWORK_RUNS = 15
OWN_CANVAS = "its own canvas"

# Column: path in the result of `evaluate`, or of `run_variant` itself, and its format.
COLUMNS = {
    "AP": ("keypoints.AP", ".3f"),
    "AP50": ("keypoints.AP50", ".3f"),
    "AP h96": ("keypoints.AP_h96", ".3f"),
    "AP50 h96": ("keypoints.AP50_h96", ".3f"),
    "mask IoU": ("masks.mean_IoU", ".3f"),
    "mIoU": ("parts.mIoU", ".3f"),
    "on any part": ("joints_on_parts.on_any_part", ".3f"),
    "on correct side": ("joints_on_parts.on_correct_side", ".3f"),
    "TNR": ("persons.true_negative_rate", ".3f"),
    "steps": ("spent.steps", ",.0f"),
    "s/step": ("spent.seconds", ".2f"),
    "parameters, M": ("spent.parameters", ".1f"),
    "network, ms": ("spent.network", ".0f"),
}


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


def run_variant(
    variant: Variant,
    config: TrainConfig,
    data: TrainingSet,
    sets: MeasuredOn,
    out: Path,
    budget: Budget,
    detail: str | None = None,
) -> None:
    """Train a variant in its folder under `out` and measure it, unless it is finished.

    `metrics.json` is written when the steps are planned and completed after measuring, so that a killed run keeps its
    plan. `detail` selects the canvases to measure on; the default is that of training.

    Raises InputError if the folder holds a run with another configuration, initial weights or budget.
    """
    folder = out / f"{variant.name}-{config.seed}"
    asked = {
        "variant": variant.name,
        "seed": config.seed,
        "budget": asdict(budget),
        "pretrained": variant.pretrained and variant.pretrained.name,
        "weights": variant.weights and variant.weights.name,
        "config": dict(_flat({name: value for name, value in asdict(config).items() if name not in FREE})),
    }
    report = _resumed(folder / REPORT, json.loads(json.dumps(asked)))
    if "steps" not in report:
        planned = [r["steps"] for r in reports(out, variant.name) if r["budget"] == report["budget"]]
        report["steps"] = planned[0] if planned else budget.plan(config, data)  # all seeds take as many
        _write(folder / REPORT, report)
    names = {f"{name}, at {detail or OWN_CANVAS}": chosen for name, chosen in sets.items()}
    if names.keys() <= report["metrics"].keys():
        return
    parser = load_parser(train(config, data, [], folder, variant.pretrained, variant.weights, report["steps"]))
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    canvases = CANVASES[detail] if detail else [config.input_size]
    spent = {
        "steps": report["steps"],
        "seconds": seconds_a_step(folder / "log.csv"),
        "parameters": sum(p.numel() for p in parser.network.parameters()) / 1e6,
        "network": network_milliseconds(parser.network, canvases[0]),
    }
    for name, (dataset, indices) in names.items():
        found = {**evaluate(parse_with(parser), dataset, indices, [canvases]), "spent": spent}
        report["metrics"][name] = {column: _at(found, where) for column, (where, _) in COLUMNS.items()}
    _write(folder / REPORT, report)


def variant_tables(out: Path, variants: Sequence[Variant]) -> str:
    """Format the finished runs of `variants` under `out` as Markdown tables, one per measured set.

    For several seeds a cell has the mean, and each value in brackets in the order of the seeds.
    """
    found = {variant.name: reports(out, variant.name) for variant in variants}
    names = dict.fromkeys(name for runs in found.values() for run in runs for name in run["metrics"])
    lines: list[str] = []
    for name in names:
        lines += [f"**{name}**", "", "| variant | | seeds | " + " | ".join(COLUMNS) + " |"]
        lines.append("|---|---|---|" + "---:|" * len(COLUMNS))
        for variant in variants:
            rows = [run["metrics"][name] for run in found[variant.name] if name in run["metrics"]]
            if rows:
                cells = [_cell([row[column] for row in rows], form) for column, (_, form) in COLUMNS.items()]
                lines.append(f"| `{variant.name}` | {variant.description} | {len(rows)} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def reports(out: Path, name: str) -> list[dict[str, Any]]:
    """Read the reports of a variant's runs under `out`, sorted by seed."""
    found = [_read(path) for path in out.glob(f"{name}-*/{REPORT}")]
    return sorted((report for report in found if report.get("variant") == name), key=lambda report: report["seed"])


def seconds_a_step(log: Path) -> float:
    """Return the mean seconds per step of a run, from its log, over all interruptions."""
    with log.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return sum(float(row["seconds"]) for row in rows) / int(rows[-1]["step"])


@torch.inference_mode()
def network_milliseconds(network: Network, size: Size) -> float:
    """Return the median time of the network without the decoder, for one canvas of `size`, in torch on its device."""
    device = next(network.parameters()).device
    canvas = torch.randint(0, 256, (1, *size, 3), dtype=torch.uint8, device=device)
    network.eval()(canvas)
    times = []
    for _ in range(NETWORK_RUNS):
        synchronize(device)
        start = time.perf_counter()
        network(canvas)
        synchronize(device)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


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


def _resumed(path: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Return the report at `path`, or a new one. Settings that only newer versions have are not compared."""
    if not path.exists():
        return {**asked, "metrics": {}}
    report = _read(path)
    if "variant" not in report:
        raise InputError(f"{path.parent} holds another kind of run; choose another --out folder")
    other = [name for name in asked if name != "config" and report[name] != asked[name]]
    other += [name for name, value in report["config"].items() if asked["config"].get(name) != value]
    if other:
        raise InputError(
            f"{path.parent} was trained with another {', '.join(other)}; name the variant otherwise, or remove it"
        )
    return report


def _read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "figures" in report:  # its name in version 0.1
        report["metrics"] = report.pop("figures")
    return report


def _flat(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _at(found: dict[str, Any], where: str) -> float | None:
    """Return a metric by its path, such as `keypoints.AP`; None if there is none."""
    value: Any = found
    for key in where.split("."):
        value = None if value is None else value.get(key)
    return value


def _cell(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    each = ["-" if value is None else format(value, form) for value in values]
    if len(set(each)) == 1:
        return each[0]
    return f"{format(statistics.mean(known), form)} ({', '.join(each)})"


def _write(path: Path, report: dict[str, Any]) -> None:
    """Write atomically, like a checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)
