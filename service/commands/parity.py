"""Compares every runtime of this machine with ONNX Runtime in float32, on images, crowds and adversarial inputs."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from model.agreement import accuracy_table, compare, summary
from model.cpu import cpu_name
from model.manifest import GRAPH, PARITY, SAMPLE, Manifest, read_bundle
from model.raw_prediction import RawPrediction
from service.commands.inputs import UsageError, find_inputs
from service.images.header import ImageError, open_image, read_file
from service.parsing.loading import served_levels
from service.parsing.parser import ImageParser
from service.runtimes.choice import AUTO, BY_NAME, open_backend
from service.runtimes.types import BackendError
from service.settings import Settings

REFERENCE = ("onnxruntime", "f32")
TILE = (480, 360)  # width, height
GRIDS = (2, 3, 5)  # tiles a side of a crowd
SIDE = 512  # of adversarial inputs
LONG = 4096  # of those with an extreme aspect ratio


class Case(NamedTuple):
    """An image file to compare runtimes on."""

    kind: str  # "photos", "crowds", "adversarial"
    data: bytes


def measure_parity(images: Sequence[str], settings: Settings, accuracy: Sequence[Path] = ()) -> dict[str, Any]:
    """Return a report for JSON: how far each runtime is from the reference, by kind of input, all levels together.

    Without `images` the bundle's sample is the image. Levels are those that the settings serve, or the one they name.
    `accuracy` are files with the task metrics of a runtime each. Raises UsageError for what is no image or no metrics
    of this bundle, BackendError where ONNX Runtime is not installed.
    """
    manifest = read_bundle(settings.bundle)
    levels = served_levels(manifest, settings)
    metrics = [_accuracy(file, manifest) for file in accuracy]
    details = list(levels) if settings.detail == "auto" else [settings.detail]
    cases = gather(images or [str(settings.bundle / SAMPLE)], settings.max_bytes)
    expected = _answers(*REFERENCE, cases, details, manifest, settings)
    runtimes, absent = {}, {}
    for name, precision in (*AUTO, *BY_NAME):
        if (name, precision) == REFERENCE:
            continue
        try:
            found = _answers(name, precision, cases, details, manifest, settings)
        except BackendError as error:
            absent[f"{name} {precision}"] = str(error)
            continue
        differences = [compare(one, other) for one, other in zip(expected.people, found.people, strict=True)]
        kinds = [case.kind for case in cases for _ in details]
        runtimes[found.runtime] = {
            kind: summary([one for one, of in zip(differences, kinds, strict=True) if of == kind])
            for kind in dict.fromkeys(kinds)
        }
    return {
        "graph": manifest.sha256[GRAPH],
        "reference": expected.runtime,
        "cpu": cpu_name(),
        "details": details,
        "inputs": dict(Counter(case.kind for case in cases)),
        "runtimes": runtimes,
        "absent": absent,
        "accuracy": metrics,
    }


def _accuracy(file: Path, manifest: Manifest) -> dict[str, Any]:
    """What `python -m training evaluate --runtime --json` wrote of this bundle, shortened."""
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
        if report["parser"] != f"{manifest.name} {manifest.version}" or report["kind"] != "bundle":
            raise UsageError(f"{file} is of {report['parser']}, not of this bundle: measure it again")
        kept = {name: report[name] for name in ("runtime", "detail", "images", "people", "command")}
        measured = {"keypoints": ("AP", "AP_interval"), "masks": ("mean_IoU",), "parts": ("mIoU",)}
        return kept | {group: {name: report[group][name] for name in names} for group, names in measured.items()}
    except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise UsageError(f"{file} is not from python -m training evaluate --runtime --json ({error!r})") from error


def write_parity(report: dict[str, Any], bundle: Path) -> str:
    """Write the report into the bundle as JSON and as a Markdown table beside it; return the table."""
    text = table(report)
    (bundle / PARITY).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (bundle / PARITY).with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    rows = [
        f"Against {report['reference']}, graph {report['graph'][:8]}, {report['cpu']}; {', '.join(report['details'])}.",
        "",
        "| runtime | inputs | same part | same person | matched | missed | extra | mean px | p99 px | joints of one |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for runtime, kinds in report["runtimes"].items():
        for kind, row in kinds.items():
            people, points = row["people"], row["keypoints"]
            shares = [_cell(row[name], ".2%") for name in ("same_part", "same_person")]
            apart = [_cell(points[name], ".3f") for name in ("mean_px", "p99_px")]
            cells = [runtime, f"{report['inputs'][kind]} {kind}", *shares, *map(str, people.values()), *apart]
            rows.append(f"| {' | '.join(cells)} | {points['of_one_alone']} |")
    rows += ["", *(f"- Not here: {runtime}. {reason}" for runtime, reason in report["absent"].items())]
    if report["accuracy"]:
        rows += ["", "Against labels:", "", accuracy_table(report["accuracy"])]
    return "\n".join(rows).rstrip() + "\n"


def _cell(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


class _Answers(NamedTuple):
    runtime: str
    people: list[RawPrediction]  # of every case at every level


def _answers(
    name: str, precision: str, cases: Sequence[Case], details: Sequence[str], manifest: Manifest, settings: Settings
) -> _Answers:
    backend = open_backend(name, settings.bundle, manifest, precision, settings)
    parser = ImageParser(manifest, backend, manifest.canvases, details[0], settings.max_pixels, 0.0)
    people = [parser.infer(parser.prepare(case.data, detail)).output for case in cases for detail in details]
    return _Answers(f"{backend.name} {backend.precision}", people)


def gather(images: Sequence[str], max_bytes: int) -> list[Case]:
    """The images, crowds tiled from them, and adversarial inputs. Raises UsageError for what is no image."""
    files, decoded = [], []
    for one in find_inputs(images, recursive=False):
        if one.path is None:
            raise UsageError("images come from files: name them, or a folder")
        try:
            with one.path.open("rb") as file:
                files.append(read_file(file, max_bytes))
            decoded.append(ImageOps.exif_transpose(open_image(files[-1])).convert("RGB"))
        except (ImageError, OSError) as error:
            raise UsageError(f"{one.name}: {error}") from error
    return [
        *(Case("photos", data) for data in files),
        *(Case("crowds", _png(crowd(decoded, grid))) for grid in GRIDS),
        *(Case("adversarial", _png(image)) for image in adversarial(decoded[0])),
    ]


def crowd(images: Sequence[Image.Image], grid: int) -> Image.Image:
    """`grid` x `grid` tiles of the images in turn, every other one mirrored."""
    sheet = Image.new("RGB", (TILE[0] * grid, TILE[1] * grid))
    for index in range(grid * grid):
        tile = ImageOps.fit(images[index % len(images)], TILE)
        row, column = divmod(index, grid)
        sheet.paste(ImageOps.mirror(tile) if (row + column) % 2 else tile, (column * TILE[0], row * TILE[1]))
    return sheet


def adversarial(image: Image.Image) -> list[Image.Image]:
    """Noise, constant colors, stripes of one pixel, a mirrored image (ties), extreme aspect ratios, tiny images."""
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    stripes = np.zeros_like(noise)
    stripes[::2] = 255
    half = image.crop((0, 0, max(image.width // 2, 1), image.height))
    ties = Image.new("RGB", (2 * half.width, half.height))
    ties.paste(half)
    ties.paste(ImageOps.mirror(half), (half.width, 0))
    constant = [np.full_like(noise, value) for value in (0, 128, 255)]
    sizes = ((LONG, 32), (32, LONG), (8, 8), (1, 1))
    return [
        *(Image.fromarray(array) for array in (noise, *constant, stripes, stripes.transpose(1, 0, 2))),
        ties,
        *(image.resize(size) for size in sizes),
    ]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
