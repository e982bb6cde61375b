"""Checkpoints and bundles as one thing: a function from a canvas to people, with what it takes to use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from model.canvases import CANVASES, VIEWS
from model.checkpoint import load_parser
from model.config import with_values
from model.decoder.decode import People
from model.manifest import GRAPH, MANIFEST, Size, read_bundle
from model.onnxruntime import ort
from model.parser import HumanParser
from model.taxonomy import Taxonomy
from training.samples import Float32, UInt8


class CanvasPeople(NamedTuple):
    """What a parser says of one canvas: the first five outputs of the graph, without the batch."""

    part_map: UInt8  # [H, W], 0 background, 1..C
    person_map: UInt8  # [H, W], 0 nobody, p+1 = slot p
    keypoints: Float32  # [P, K, 3], x, y in canvas pixels, score; 0 = not found
    person_score: Float32  # [P], falling; 0 = empty slot
    part_score: Float32  # [P, C], mean probability of the part's pixels; 0 = absent


Parse = Callable[[UInt8], CanvasPeople]  # of a canvas [H, W, 3]


@dataclass(frozen=True)
class Predictor:
    """A parser ready to be evaluated at one level of detail."""

    name: str
    kind: str  # "checkpoint", "bundle"
    taxonomy: Taxonomy
    canvases: Sequence[Size]
    parse: Parse


def open_predictor(path: Path, detail: str, decoder: Sequence[str] = ()) -> Predictor:
    """A bundle where `path` is a folder with a manifest, else a checkpoint; both in float32.

    `decoder` sets fields of a checkpoint's `DecoderConfig` by NAME=VALUE; a bundle's graph is fixed.
    Raises BundleError or CheckpointError for unusable files, ValueError for a level of detail it does not have.
    """
    if path.is_dir() or path.name == MANIFEST:
        if decoder:
            raise ValueError(f"the decoder of {path} is in its graph: export it with other values instead")
        return _open_bundle(path if path.is_dir() else path.parent, detail)
    trained = load_parser(path)
    parser = HumanParser(trained.network, with_values(trained.decoder.config, decoder)).eval()
    parser.to("cuda" if torch.cuda.is_available() else "cpu")
    canvases = _canvases(CANVASES, detail)
    parse = parse_with(parser, VIEWS.get(detail, 1))
    return Predictor(path.name, "checkpoint", parser.decoder.taxonomy, canvases, parse)


def parse_with(parser: HumanParser, views: int = 1) -> Parse:
    """Canvases one by one through a parser, which is in evaluation mode, on the device where its weights are.

    With two views each canvas is seen in a mirror, too.
    """
    device = next(parser.parameters()).device

    def parse(canvas: UInt8) -> CanvasPeople:
        with torch.inference_mode():
            people = parser(torch.from_numpy(canvas[None].repeat(views, 0)).to(device))
        return first_canvas(people)

    return parse


def first_canvas(people: People) -> CanvasPeople:
    """What torch said of the first canvas of a batch, as arrays."""
    return CanvasPeople(*(getattr(people, name)[0].cpu().numpy() for name in CanvasPeople._fields))


def _open_bundle(folder: Path, detail: str) -> Predictor:
    manifest = read_bundle(folder)
    views = manifest.views_at(detail)
    session = ort.InferenceSession(folder / GRAPH, providers=["CPUExecutionProvider"])

    def parse(canvas: UInt8) -> CanvasPeople:
        values = session.run(list(CanvasPeople._fields), {"image": canvas[None].repeat(views, 0)})
        return CanvasPeople(*(np.asarray(value)[0] for value in values))

    canvases = _canvases(manifest.canvases, detail)
    return Predictor(f"{manifest.name} {manifest.version}", "bundle", manifest.taxonomy, canvases, parse)


def _canvases(table: dict[str, tuple[Size, ...]], detail: str) -> Sequence[Size]:
    if detail not in table:
        raise ValueError(f"no level of detail {detail!r}: choose one of {', '.join(table)}")
    return table[detail]
