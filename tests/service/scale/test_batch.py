"""`humanparse batch` without Ray."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from service.cli import main
from service.responses.schemas import Person
from service.scale.output import Output, Plan
from service.scale.table import NOTES, PERSON
from tests.bundles import figure_bundle
from tests.service.conftest import encode
from tests.service.scale.conftest import batch, manifest, rows, shards

pytestmark = pytest.mark.usefixtures("environment")


def test_people_equal_those_of_parse_byte_for_byte(images: Path, tmp_path: Path) -> None:
    assert batch(images, "--out", tmp_path / "out", "--shard-size", 2) == 0
    assert main(["parse", str(images), "--recursive", "--out", str(tmp_path / "parsed")]) == 1  # one is broken
    for name in ("a", "b/c", "b/d", "e"):
        parsed = (tmp_path / "parsed" / f"{name}.json").read_text()
        source = json.loads(parsed)["file_name"]
        people = [row for row in rows(tmp_path / "out") if row["image"] == str(Path(source).resolve())]
        assert len(people) == 2
        encoded = ",".join(Person(**{key: row[key] for key in PERSON}).model_dump_json() for row in people)
        assert f'"people":[{encoded}],' in parsed
        assert [(row["width"], row["height"], row["error"]) for row in people] == [(240, 120, None)] * 2


def test_broken_images_empty_ones_and_our_own_pictures_have_a_row_each(images: Path, tmp_path: Path) -> None:
    (images / "empty.png").write_bytes(encode(Image.fromarray(np.zeros((60, 90, 3), np.uint8)), "PNG"))
    assert main(["parse", str(images / "a.png"), "--out", str(images)]) == 0
    out = tmp_path / "out"
    assert batch(images, "--out", out) == 0
    by_name = {Path(row["image"]).name: row for row in rows(out)}
    assert by_name["broken.jpg"]["error_kind"] == "broken-image"
    assert "damaged" in by_name["broken.jpg"]["error"]
    assert by_name["broken.jpg"]["width"] is None
    assert (by_name["empty.png"]["id"], by_name["empty.png"]["width"], by_name["empty.png"]["error"]) == (
        None,
        90,
        None,
    )
    assert by_name["a.overlay.jpg"]["error_kind"] == "left-out"
    totals = manifest(out)
    assert (totals["images"], totals["people"], totals["errors"]) == (9, 8, 4)


def test_a_run_that_was_stopped_goes_on_and_gives_the_same_bytes(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert batch(images, "--out", whole, "--shard-size", 2) == 0
    write, written = Output.write, []

    def interrupted(output: Output, name: str, data: bytes) -> None:
        written.append(name)
        if len(written) == 3:  # after the plan and a shard
            raise KeyboardInterrupt
        write(output, name, data)

    monkeypatch.setattr(Output, "write", interrupted)
    assert batch(images, "--out", out, "--shard-size", 2) == 130
    assert "interrupted: 1 of 3 shards; the same command goes on" in capsys.readouterr().err
    assert not (out / "manifest.json").exists()
    (images / "new.png").write_bytes((images / "a.png").read_bytes())  # after the plan: not in it
    assert batch(images, "--out", out, "--shard-size", 2) == 0
    assert written[3:] == ["people/000001.parquet", "people/000002.parquet", "manifest.json"]
    assert shards(out) == shards(whole)
    assert manifest(out) == manifest(whole)


def test_a_run_that_an_earlier_version_began_goes_on(images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert batch(images, "--out", out, "--shard-size", 2) == 0
    expected = manifest(out)
    plan = pq.read_table(out / "plan.parquet")
    old = plan.rename_columns(["uri", "row_group", "photos"]).replace_schema_metadata(plan.schema.metadata)
    pq.write_table(old, out / "plan.parquet", row_group_size=2)  # five images: the groups of the plan
    shard = pq.read_table(out / "people" / "000000.parquet")
    notes = shard.schema.metadata[NOTES].replace(b'"images"', b'"photos"')
    pq.write_table(shard.replace_schema_metadata({NOTES: notes}), out / "people" / "000000.parquet")
    (out / "people" / "000001.parquet").unlink()
    (out / "manifest.json").unlink()
    assert batch(images, "--out", out, "--shard-size", 2) == 0
    totals = ("images", "people", "errors")
    assert [manifest(out)[name] for name in totals] == [expected[name] for name in totals] == [5, 8, 1]
    assert Plan.read(Output(str(out))).images() == 5


def test_what_would_give_other_rows_is_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert batch(images, "--out", out) == 0
    before = shards(out)
    other = figure_bundle(tmp_path / "bundle", name="others")
    for arguments, reason in {
        ("--detail", "high"): "begun with detail fast, not high: choose another --out",
        ("--bundle", other): "begun with name figures, not others",
        ("--shard-size", 3): "begun with shard_size 128, not 3",
    }.items():
        assert batch(images, "--out", out, *arguments) == 2
        assert reason in capsys.readouterr().err
    assert batch(images / "a.png", "--out", out) == 2
    assert batch(images, "--out", out) == 0
    assert shards(out) == before


def test_sources_and_output_may_be_an_object_store(png: bytes, tmp_path: Path) -> None:
    store = fsspec.filesystem("memory")
    try:
        store.pipe({"/in/a.png": png, "/in/b.png": png})
        assert batch("memory://in", "--out", "memory://out/set", "--shard-size", 1) == 0
        assert json.loads(store.cat("/out/set/manifest.json"))["images"] == 2
        names = [name for name in store.find("/out") if "people" in name]
        assert names == ["/out/set/people/000000.parquet", "/out/set/people/000001.parquet"]
        assert store.cat(names[0])[:4] == b"PAR1"
    finally:
        store.rm("/", recursive=True)


def test_faults_of_the_command_line_are_one_line(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert batch(tmp_path / "none", "--out", tmp_path / "out") == 2
    assert batch(images, "--out", images / "a.png") == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("humanparse: ")]
    assert len(errors) == 2
    assert errors[0].endswith("none does not exist")


def test_options_of_ray_without_ray_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert batch(tmp_path, "--out", tmp_path / "out", "--workers", 2) == 2
    assert main(["serve", "--max-replicas", "2"]) == 2
    errors = capsys.readouterr().err
    assert "--workers goes with --engine ray" in errors
    assert "--max-replicas goes with --engine ray" in errors
