"""The paper's ablations: variants of the method, trained alike and measured on the same images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from model.checkpoint import load_parser
from model.network import Network
from model.parser import HumanParser
from training.config.recipes import ABLATIONS
from training.config.train_config import TrainConfig
from training.data.datasets.base import ImageDataset
from training.engine.loop import train
from training.engine.run_checkpoint import LAST
from training.evaluation.evaluate import evaluate
from training.inference.predictors import parse_with
from training.transforms.augment import letterbox
from training.transforms.targets import collate, encode
from training.transforms.training_set import TrainingSet

REPORT = "metrics.json"

# Column: path in the result of `evaluate`.
COLUMNS = {
    "mIoU": ("parts", "mIoU"),
    "APp50": ("parts", "APp50"),
    "APpvol": ("parts", "APpvol"),
    "PCP50": ("parts", "PCP50"),
    "mAPpose": ("keypoints", "AP"),
    "pose AP50": ("keypoints", "AP50"),
    "mask IoU": ("masks", "mean_IoU"),
}
FIELD = "field error, px"

MeasuredOn = dict[str, tuple[ImageDataset, Sequence[int]]]  # name: data set, and the indices to measure on


@dataclass(frozen=True)
class Run:
    """One training run, and the rows of the tables it stands for, which differ only in the decoder."""

    config: TrainConfig
    rows: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the run's folder."""
        return f"{self.rows[-1]}-{self.config.seed}"


def plan(base: TrainConfig, rows: Sequence[str], seeds: Sequence[int]) -> list[Run]:
    """List the runs that `rows` of `ABLATIONS` need, seed by seed; rows with the same training share one."""
    runs: dict[TrainConfig, list[str]] = {}
    for seed in seeds:
        for row in rows:
            config = replace(ABLATIONS[row][1](base), seed=seed)
            if not any(stage.matching for stage in config.stages):  # the matcher decodes and does not teach
                config = replace(config, decoder=replace(config.decoder, matcher=base.decoder.matcher))
            runs.setdefault(config, []).append(row)
    return [Run(config, tuple(names)) for config, names in runs.items()]


def run_ablation(
    run: Run, data: TrainingSet, sets: MeasuredOn, out: Path, pretrained: Path | None, steps: int | None = None
) -> None:
    """Train and measure a run in its folder under `out`, unless it is finished.

    Writes `metrics.json`: {row: {set: {column: value}}}.
    """
    folder = out / run.name
    if (folder / REPORT).exists():
        return
    train(run.config, data, [], folder, pretrained, steps=steps)
    network = load_parser(folder / LAST).network
    metrics: dict[str, dict[str, Any]] = {row: {} for row in run.rows}
    for name, (dataset, indices) in sets.items():
        error = round(field_error(network, dataset, indices, run.config), 3)
        for row in run.rows:
            parser = HumanParser(network, ABLATIONS[row][1](run.config).decoder).eval()
            found = evaluate(parse_with(parser), dataset, indices, [[run.config.input_size]])
            values = {column: found[group][key] for column, (group, key) in COLUMNS.items()}
            metrics[row][name] = {**values, FIELD: error}
    (folder / REPORT).write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


@torch.inference_mode()
def field_error(network: Network, dataset: ImageDataset, indices: Sequence[int], config: TrainConfig) -> float:
    """Return the mean distance of the projection field from its labels, in canvas pixels, over the people's cells."""
    network.eval()
    total = count = 0.0
    for index in tqdm(indices, desc="field", unit="image"):
        sample = letterbox(dataset.load(index), config.input_size)[0]
        batch = collate([(sample.image, encode(sample, dataset.taxonomy, config.decoder))])
        field = network(batch.image).projection_field.float()  # [1, 2, h, w]
        distance = 4 * (field - batch.projection.float()).norm(dim=1) * batch.projection_weight
        total, count = total + float(distance.sum()), count + float(batch.projection_weight.sum())
    return total / max(count, 1.0)


def tables(out: Path) -> str:
    """Format the finished runs under `out` as Markdown tables, one per measured set, with the metrics of each seed."""
    found: dict[str, dict[str, list[dict[str, float | None]]]] = {}
    for report in sorted(out.glob(f"*/{REPORT}")):
        metrics = json.loads(report.read_text(encoding="utf-8"))
        for row in metrics.keys() & ABLATIONS.keys():  # other folders are of variants
            for name, values in metrics[row].items():
                found.setdefault(name, {}).setdefault(row, []).append(values)
    columns = [*COLUMNS, FIELD]
    lines: list[str] = []
    for name, rows in found.items():
        lines += [
            f"**{name}**",
            "",
            "| row | | seeds | " + " | ".join(columns) + " |",
            "|---" * (len(columns) + 3) + "|",
        ]
        for row, (description, _) in ABLATIONS.items():
            if row in rows:
                cells = [_cell([values[column] for values in rows[row]]) for column in columns]
                lines.append(f"| `{row}` | {description} | {len(rows[row])} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: Sequence[float | None]) -> str:
    return " / ".join("-" if value is None else f"{value:.4f}" for value in values)
