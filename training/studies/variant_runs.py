"""Runs of variants: train, measure, and tabulate them."""

from __future__ import annotations

import csv
import json
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from model.canvases import CANVASES
from model.checkpoint import load_parser
from model.errors import InputError
from model.manifest import Size
from model.network import Network
from training.config.train_config import TrainConfig
from training.engine.loop import train
from training.engine.run_checkpoint import FREE
from training.evaluation.evaluate import evaluate
from training.inference.predictors import parse_with
from training.studies.ablation import REPORT, MeasuredOn
from training.studies.latency.machine import synchronize
from training.studies.variants import Budget, Variant
from training.transforms.training_set import TrainingSet

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
        "seconds": seconds_per_step(folder / "log.csv"),
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


def seconds_per_step(log: Path) -> float:
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
