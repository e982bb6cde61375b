"""A graph in two halves computes what it computes as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from model.decoder.decode import People
from model.openvino import ov, split_model
from tests.bundles import HEADS, figure_bundle, figure_image


def test_a_graph_splits_at_its_heads(tmp_path: Path) -> None:
    core = ov.Core()
    path = figure_bundle(tmp_path) / "parser.onnx"
    network, decoder = (core.compile_model(m, "CPU") for m in split_model(core.read_model(path), HEADS))
    canvas = figure_image((64, 96), (1, 2, (5, 8, 30, 50)), (2, 4, (40, 10, 60, 60)))[None]
    heads = dict(zip(HEADS, network([canvas]).values(), strict=True))
    whole, halves = core.compile_model(core.read_model(path), "CPU")([canvas]), decoder({"image": canvas, **heads})
    for name in People._fields:
        np.testing.assert_array_equal(halves[name], whole[name])
    with pytest.raises(ValueError, match="no tensor pink to cut at"):
        split_model(core.read_model(path), ["red", "pink"])
