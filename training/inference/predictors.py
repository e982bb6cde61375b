"""Predictors: checkpoints and bundles behind one interface, a function from a canvas to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from model.canvases import CANVASES, SCALES, TTA_PASSES
from model.checkpoint import load_parser
from model.config import apply_overrides
from model.cpu import supports_bf16
from model.decoder.decode import People
from model.errors import InputError
from model.islands import give_back_islands
from model.manifest import GRAPH, INT8, MANIFEST, Manifest, Size, read_bundle
from model.onnxruntime import ort
from model.openvino import Halves
from model.parser import HumanParser
from model.raw_prediction import RawPrediction
from model.taxonomy import Taxonomy
from training.data.samples import UInt8

Parse = Callable[[UInt8], RawPrediction]  # of a canvas [H, W, 3]
RUNTIMES = ("onnxruntime-f32", "openvino-f32", "openvino-bf16", "openvino-int8")  # of a bundle, on the CPU
Scales = Sequence[Sequence[Size]]  # the canvases to choose from: of one scale, or of a coarse and a fine one


@dataclass(frozen=True)
class Predictor:
    """A parser ready to be evaluated at one level of detail."""

    name: str
    kind: str  # "checkpoint", "bundle"
    taxonomy: Taxonomy
    scales: Scales
    parse: Parse
    runtime: str  # as `humanparse parity` writes it, such as "openvino bf16"


def open_predictor(path: Path, detail: str, decoder: Sequence[str] = (), runtime: str = "") -> Predictor:
    """Open a bundle if `path` is a folder with a manifest, else a checkpoint.

    `decoder` overrides fields of a checkpoint's `DecoderConfig` by NAME=VALUE; a bundle's graph is fixed. `runtime` is
    a bundle's, one of `RUNTIMES`, the first by default; a checkpoint runs in torch in float32.
    Raises BundleError or CheckpointError for unusable files, InputError for an unknown level of detail, or a runtime
    that cannot be had.
    """
    if path.is_dir() or path.name == MANIFEST:
        if decoder:
            raise InputError(f"the decoder of {path} is in its graph: export it with other values instead")
        return _open_bundle(path if path.is_dir() else path.parent, detail, runtime or RUNTIMES[0])
    if runtime:
        raise InputError(f"--runtime {runtime} is for a bundle: {path} runs in torch")
    trained = load_parser(path)
    parser = HumanParser(trained.network, apply_overrides(trained.decoder.config, decoder)).eval()
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    scales = _scales(CANVASES, SCALES, detail)
    parse = parse_with(parser, TTA_PASSES.get(detail, 1))
    return Predictor(path.name, "checkpoint", parser.decoder.taxonomy, scales, parse, "torch f32")


def parse_with(parser: HumanParser, views: int = 1) -> Parse:
    """Return a function that runs a parser in evaluation mode on one canvas, on the device of its weights.

    `views` = 2 adds horizontal-flip test-time augmentation.
    """
    device = next(parser.parameters()).device

    def parse(canvas: UInt8) -> RawPrediction:
        with torch.inference_mode():
            people = parser(torch.from_numpy(canvas[None].repeat(views, 0)).to(device))
        return give_back_islands(first_canvas(people), parser.decoder.taxonomy.limbs)

    return parse


def first_canvas(people: People) -> RawPrediction:
    """Convert the prediction for the first canvas of a batch to arrays."""
    return RawPrediction.first_of({name: value.cpu().numpy() for name, value in people._asdict().items()})


def _open_bundle(folder: Path, detail: str, runtime: str) -> Predictor:
    manifest = read_bundle(folder)
    views, run = manifest.views_at(detail), _run(folder, manifest, runtime)

    def parse(canvas: UInt8) -> RawPrediction:
        people = RawPrediction.first_of(run(canvas[None].repeat(views, 0)))
        return give_back_islands(people, manifest.taxonomy.limbs)

    scales, name = _scales(manifest.canvases, manifest.scales, detail), f"{manifest.name} {manifest.version}"
    return Predictor(name, "bundle", manifest.taxonomy, scales, parse, runtime.replace("-", " "))


def _run(folder: Path, manifest: Manifest, runtime: str) -> Callable[[UInt8], Mapping[str, Any]]:
    """A function from views [V, H, W, 3] to the graph's outputs by name."""
    if runtime == "openvino-bf16" and not supports_bf16():
        raise InputError(f"{runtime} needs a CPU with AVX512-BF16 or AMX, which this one lacks")
    if runtime == "openvino-int8" and INT8 not in manifest.sha256:
        raise InputError(f"{folder} has no network in int8: run python -m export int8 {folder} --images FOLDER")
    if runtime.startswith("openvino-"):
        return Halves(folder / GRAPH, manifest.decoder_inputs, runtime.removeprefix("openvino-")).people
    session, names = ort.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"]), RawPrediction._fields
    return lambda views: dict(zip(names, session.run(list(names), {"image": views}), strict=True))


def _scales(table: dict[str, tuple[Size, ...]], united: dict[str, tuple[str, ...]], detail: str) -> Scales:
    if detail not in table:
        raise InputError(f"no level of detail {detail!r}: choose one of {', '.join(table)}")
    return [table[name] for name in united.get(detail, (detail,))]
