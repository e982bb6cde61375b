"""Photos into files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from service.cli import main
from service.responses.schemas import ParseResponse
from tests.service.conftest import SIZE

pytestmark = pytest.mark.usefixtures("environment")


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

    answer = ParseResponse.model_validate_json((out / "a.json").read_text())
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
    assert "several images are called a" in capsys.readouterr().err
