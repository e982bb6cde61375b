"""Writes a checkpoint as a bundle: the folder that the service serves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from export.golden import write_golden
from export.onnx_graph import write_graph
from model.canvases import CANVASES, SCALES, TTA_PASSES
from model.checkpoint import load_parser, read_checkpoint
from model.config import apply_overrides
from model.manifest import CARD, GOLDEN, GRAPH, MANIFEST, SAMPLE, Manifest, sha256_of
from model.maps import decoder_inputs
from model.parser import HumanParser
from model.taxonomy import get_taxonomy


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
    sample: Path,
    decoder: Sequence[str],
) -> HumanParser:
    """Write graph, card, sample image, golden maps and manifest into `folder`; return the parser the graph equals.

    `decoder` sets fields of the checkpoint's `DecoderConfig` by NAME=VALUE: thresholds are chosen after training.
    Raises CheckpointError for a bad checkpoint, InputError for a bad field.
    """
    trained = load_parser(checkpoint)
    parser = HumanParser(trained.network, apply_overrides(trained.decoder.config, decoder)).eval()
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(parser, folder / GRAPH)
    for source, file in ((card, CARD), (sample, SAMPLE)):
        if source.resolve() != (folder / file).resolve():  # both may be edited in the bundle itself
            shutil.copyfile(source, folder / file)
    write_golden(parser, sample, folder / GOLDEN)
    manifest = Manifest(
        name=name,
        version=version,
        taxonomy=get_taxonomy(parser.network.config.taxonomy),
        model=parser.network.config,
        decoder=parser.decoder.config,
        canvases=CANVASES,
        views=TTA_PASSES,
        scales=SCALES,
        decoder_inputs=decoder_inputs(parser.decoder.config),
        data=data,
        weights_licence=weights_licence,
        sha256={file: sha256_of(folder / file) for file in (GRAPH, CARD, SAMPLE, GOLDEN)},
        accuracy=accuracy,
        data_licenses=read_checkpoint(checkpoint).get("data_licenses", {}),
    )
    (folder / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return parser


def read_accuracy(path: Path | None) -> dict[str, Any]:
    """Read the metrics that `python -m training evaluate --json` wrote; empty without a file."""
    return {} if path is None else dict(json.loads(path.read_text(encoding="utf-8")))
