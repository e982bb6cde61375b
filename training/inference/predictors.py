"""Predictors: checkpoints and bundles behind one interface, a function from a canvas to people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from model.canvases import CANVASES, SCALES, TTA_PASSES
from model.checkpoint import load_parser
from model.config import apply_overrides
from model.decoder.decode import People
from model.errors import InputError
from model.manifest import GRAPH, MANIFEST, Size, read_bundle
from model.onnxruntime import ort
from model.parser import HumanParser
from model.raw_prediction import RawPrediction
from model.taxonomy import Taxonomy
from training.data.samples import UInt8

Parse = Callable[[UInt8], RawPrediction]  # of a canvas [H, W, 3]
Scales = Sequence[Sequence[Size]]  # the canvases to choose from: of one scale, or of a coarse and a fine one


@dataclass(frozen=True)
class Predictor:
    """A parser ready to be evaluated at one level of detail."""

    name: str
    kind: str  # "checkpoint", "bundle"
    taxonomy: Taxonomy
    scales: Scales
    parse: Parse


def open_predictor(path: Path, detail: str, decoder: Sequence[str] = ()) -> Predictor:
    """Open a bundle if `path` is a folder with a manifest, else a checkpoint; both in float32.

    `decoder` overrides fields of a checkpoint's `DecoderConfig` by NAME=VALUE; a bundle's graph is fixed.
    Raises BundleError or CheckpointError for unusable files, InputError for an unknown level of detail.
    """
    if path.is_dir() or path.name == MANIFEST:
        if decoder:
            raise InputError(f"the decoder of {path} is in its graph: export it with other values instead")
        return _open_bundle(path if path.is_dir() else path.parent, detail)
    trained = load_parser(path)
    parser = HumanParser(trained.network, apply_overrides(trained.decoder.config, decoder)).eval()
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    scales = _scales(CANVASES, SCALES, detail)
    parse = parse_with(parser, TTA_PASSES.get(detail, 1))
    return Predictor(path.name, "checkpoint", parser.decoder.taxonomy, scales, parse)


def parse_with(parser: HumanParser, views: int = 1) -> Parse:
    """Return a function that runs a parser in evaluation mode on one canvas, on the device of its weights.

    `views` = 2 adds horizontal-flip test-time augmentation.
    """
    device = next(parser.parameters()).device

    def parse(canvas: UInt8) -> RawPrediction:
        with torch.inference_mode():
            people = parser(torch.from_numpy(canvas[None].repeat(views, 0)).to(device))
        return first_canvas(people)

    return parse


def first_canvas(people: People) -> RawPrediction:
    """Convert the prediction for the first canvas of a batch to arrays."""
    return RawPrediction.first_of({name: value.cpu().numpy() for name, value in people._asdict().items()})


def _open_bundle(folder: Path, detail: str) -> Predictor:
    manifest = read_bundle(folder)
    views = manifest.views_at(detail)
    session = ort.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"])

    def parse(canvas: UInt8) -> RawPrediction:
        values = session.run(list(RawPrediction._fields), {"image": canvas[None].repeat(views, 0)})
        return RawPrediction.first_of(dict(zip(RawPrediction._fields, values, strict=True)))

    scales = _scales(manifest.canvases, manifest.scales, detail)
    return Predictor(f"{manifest.name} {manifest.version}", "bundle", manifest.taxonomy, scales, parse)


def _scales(table: dict[str, tuple[Size, ...]], united: dict[str, tuple[str, ...]], detail: str) -> Scales:
    if detail not in table:
        raise InputError(f"no level of detail {detail!r}: choose one of {', '.join(table)}")
    return [table[name] for name in united.get(detail, (detail,))]
