"""Checkpoint to bundle: the folder that the service serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from export.onnx_graph import DECODER_INPUTS, write_graph
from model.checkpoint import load_parser
from model.manifest import CARD, GRAPH, MANIFEST, Manifest, Size, sha256_of
from model.taxonomy import get_taxonomy

# About equal areas a level: 64, 144 and 256 squares of 32 px. Aspect ratios: film, photo, square and both upright.
CANVASES: dict[str, tuple[Size, ...]] = {
    "fast": ((192, 352), (224, 288), (256, 256), (288, 224), (352, 192)),
    "standard": ((288, 512), (320, 448), (384, 384), (448, 320), (512, 288)),
    "high": ((384, 672), (448, 576), (512, 512), (576, 448), (672, 384)),
}


def write_bundle(
    checkpoint: Path,
    folder: Path,
    *,
    name: str,
    version: str,
    data: str,
    weights_licence: str,
    accuracy: dict[str, Any],
    card: Path,
) -> Manifest:
    """Write `parser.onnx`, the card and the manifest into `folder`. Raises CheckpointError for a bad checkpoint."""
    parser = load_parser(checkpoint)
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(parser, folder / GRAPH)
    (folder / CARD).write_text(card.read_text(encoding="utf-8"), encoding="utf-8")
    manifest = Manifest(
        name=name,
        version=version,
        taxonomy=get_taxonomy(parser.network.config.taxonomy),
        model=parser.network.config,
        decoder=parser.decoder.config,
        canvases=CANVASES,
        decoder_inputs=DECODER_INPUTS,
        data=data,
        weights_licence=weights_licence,
        sha256={file: sha256_of(folder / file) for file in (GRAPH, CARD)},
        accuracy=accuracy,
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def read_accuracy(path: Path | None) -> dict[str, Any]:
    """What `python -m training evaluate --json` wrote; empty without a file."""
    return {} if path is None else dict(json.loads(path.read_text(encoding="utf-8")))
