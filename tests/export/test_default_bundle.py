"""The committed bundle on a real image: every runtime computes the maps that torch computed when it was exported."""

from __future__ import annotations

import numpy as np
import pytest

from export.parity import PIXELS, Run, onnxruntime_run, openvino_run
from model.manifest import GOLDEN, GRAPH, read_bundle
from service.settings import DEFAULT_BUNDLE

MANIFEST = read_bundle(DEFAULT_BUNDLE)


@pytest.fixture(scope="module", params=[onnxruntime_run, openvino_run], ids=["onnxruntime", "openvino"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param(DEFAULT_BUNDLE / GRAPH)


@pytest.mark.parametrize("detail", [name for name in MANIFEST.canvases if name not in MANIFEST.scales])
def test_the_golden_maps_are_reproduced(run: Run, detail: str) -> None:
    with np.load(DEFAULT_BUNDLE / GOLDEN) as golden:
        people = run(golden[f"{detail}_image"], MANIFEST.views_at(detail))
        for name in ("part_map", "person_map"):
            expected = golden[f"{detail}_{name}"]
            assert np.mean(getattr(people, name)[0] == expected) >= PIXELS
            assert expected.max() >= 3  # else nothing was compared
