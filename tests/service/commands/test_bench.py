from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.cli import main
from service.commands.bench import percentiles

pytestmark = pytest.mark.usefixtures("environment")


def test_bench_measures_a_real_server(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.png").write_bytes(png)
    assert main(["bench", "--image", str(tmp_path / "p.png"), "--requests", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["people"], report["requests"], report["model"]["detail"]) == (2, 3, "fast")
    assert set(report["stages_median_ms"]) == {"decode", "queue", "infer", "encode", "total"}
    assert report["round_trip_ms"]["p50"] >= report["server_ms"]["p50"] > 0
    assert report["machine"]["cores"] >= 1
    assert report["image"]["width"] == 1920


def test_percentiles_are_times_that_occurred() -> None:
    assert percentiles([5.0, 1.0, 3.0]) == {"p50": 3.0, "p90": 5.0, "p99": 5.0}
    assert percentiles([float(i) for i in range(1, 101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
