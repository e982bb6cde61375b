from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from model.openvino import ov
from service.cli import main
from service.commands.bench import percentiles
from service.commands.bench_peak import _operations

pytestmark = pytest.mark.usefixtures("environment")


def test_bench_measures_a_real_server(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.png").write_bytes(png)
    more = ["--rivals", "--rate", "20", "--plot", str(tmp_path / "bench.png")]
    assert main(["bench", "--image", str(tmp_path / "p.png"), "--requests", "3", *more]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["people"], report["requests"], report["model"]["detail"]) == (2, 3, "fast")
    assert set(report["stages_ms"]) == {"decode", "queue", "infer", "encode", "total"}
    assert report["round_trip_ms"]["p50"] >= report["stages_ms"]["total"]["p50"] > 0
    assert report["rivals"]["onnxruntime f32"]["ms"]["p50"] > 0
    assert sum(report["open_loop"]["statuses"].values()) >= 3
    assert report["resident_mb"] > 50
    assert report["compute"]["peak_gigaflops"] > 0
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert report["machine"]["cores"] >= 1
    assert report["image"]["width"] == 1920


def test_products_count_twice() -> None:
    image, weights = ov.opset13.parameter([1, 3, 8, 8], np.float32), np.zeros((4, 3, 3, 3), np.float32)
    convolution = ov.opset13.convolution(image, weights, [1, 1], [1, 1], [1, 1], [1, 1])
    assert _operations(convolution) == 2 * (3 * 3 * 3) * (4 * 8 * 8)
    product = ov.opset13.matmul(np.zeros((5, 6), np.float32), np.zeros((6, 7), np.float32), False, False)
    assert _operations(product) == 2 * 6 * (5 * 7)
    assert _operations(image) == 0


def test_percentiles_are_times_that_occurred() -> None:
    assert percentiles([5.0, 1.0, 3.0]) == {"p50": 3.0, "p95": 5.0, "p99": 5.0}
    assert percentiles([float(i) for i in range(1, 101)]) == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
