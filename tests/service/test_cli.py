"""The commands, as a user runs them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from service.cli import main
from service.commands.bench import percentiles
from service.responses.answer import TimedAnswer
from tests.service.conftest import SIZE, wait_for


@pytest.fixture(autouse=True)
def environment(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUMANPARSE_BUNDLE", str(bundle))
    monkeypatch.setenv("HUMANPARSE_BACKEND", "openvino")
    monkeypatch.setenv("HUMANPARSE_DETAIL", "fast")


def test_parse_writes_four_files_and_goes_on_after_a_broken_photo(
    png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, data in (("a.png", png), ("broken.jpg", png[:99]), ("b.c.png", png)):
        (tmp_path / name).write_bytes(data)
    photos = [str(tmp_path / n) for n in ("a.png", "broken.jpg", "missing.jpg", "b.c.png")]
    out = tmp_path / "out"
    assert main(["parse", *photos, "--out", str(out)]) == 1
    suffixes = (".json", ".overlay.jpg", ".parts.png", ".people.png")
    assert sorted(p.name for p in out.iterdir()) == [n + s for n in ("a", "b.c") for s in suffixes]
    errors = capsys.readouterr().err
    assert "broken.jpg: the image is damaged" in errors
    assert "missing.jpg" in errors

    answer = TimedAnswer.model_validate_json((out / "a.json").read_text())
    assert len(answer.people) == 2
    people = np.asarray(Image.open(out / "a.people.png"))
    assert people.shape == SIZE
    assert [(people == p.id).sum() for p in answer.people] == [p.area for p in answer.people]
    with Image.open(out / "a.parts.png") as parts, Image.open(out / "a.overlay.jpg") as overlay:
        assert (parts.mode, overlay.size) == ("P", (SIZE[1], SIZE[0]))


def test_parse_succeeds_where_every_photo_does(png: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png)
    assert main(["parse", str(tmp_path / "a.png"), "--out", str(tmp_path)]) == 0
    assert (tmp_path / "a.json").is_file()


def test_photos_of_one_name_would_overwrite_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["parse", "x/a.png", "y/a.jpg", "--out", str(tmp_path)]) == 2
    assert "several photos are called a" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["serve", "--bundle", "/nowhere"], 1, "/nowhere is not a bundle"),
        (["bench", "--photo", "/nowhere.jpg"], 2, "name a photo"),
        (["bench"], 2, "name a photo"),
    ],
)
def test_wrong_paths(arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == status
    assert message in capsys.readouterr().err


def test_an_unknown_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUMANPARSE_THREDS", "2")
    assert main(["serve"]) == 2
    assert "unknown setting HUMANPARSE_THREDS" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["serve", "--port", "65536"], ["bench", "--requests", "0"], ["parse", "x"], []])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as info:
        main(arguments)
    assert info.value.code == 2


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "service.cli", "serve", "--port", str(port)],
        env=os.environ | {"HUMANPARSE_DRAIN_SECONDS": "1"},
    )
    yield process, f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.ConnectError:
        return False


def test_serve_drains_on_sigterm_and_exits_0(server: tuple[subprocess.Popen[bytes], str], png: bytes) -> None:
    process, url = server
    wait_for(lambda: is_ready(url))
    process.send_signal(signal.SIGTERM)
    begun = time.monotonic()
    wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503)
    answer = httpx.post(f"{url}/parse", content=png, headers={"Content-Type": "image/png"})
    assert answer.status_code == 200
    assert process.wait(20) == 0
    assert time.monotonic() - begun >= 0.9


def test_a_second_signal_ends_at_once(server: tuple[subprocess.Popen[bytes], str]) -> None:
    process, url = server
    wait_for(lambda: is_ready(url))
    process.send_signal(signal.SIGINT)
    wait_for(lambda: httpx.get(f"{url}/readyz").status_code == 503)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert time.monotonic() - begun < 0.9


def test_bench_measures_a_real_server(png: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.png").write_bytes(png)
    assert main(["bench", "--photo", str(tmp_path / "p.png"), "--requests", "3"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["people"], report["requests"], report["model"]["detail"]) == (2, 3, "fast")
    assert set(report["stages_median_ms"]) == {"decode", "queue", "infer", "encode", "total"}
    assert report["round_trip_ms"]["p50"] >= report["server_ms"]["p50"] > 0
    assert report["machine"]["cores"] >= 1
    assert report["photo"]["width"] == 1920


def test_percentiles_are_times_that_occurred() -> None:
    assert percentiles([5.0, 1.0, 3.0]) == {"p50": 3.0, "p90": 5.0, "p99": 5.0}
    assert percentiles([float(i) for i in range(1, 101)]) == {"p50": 50.0, "p90": 90.0, "p99": 99.0}
