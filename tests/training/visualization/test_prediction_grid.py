"""A renderer of a bundle that parses its images exactly, so that it is known what must be drawn where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.taxonomy import PASCAL_PERSON_PART
from tests.bundles import color, figure_bundle, figure_image
from training.__main__ import main
from training.data.samples import DatasetError
from training.data.unlabeled_images import find_images, read_upright
from training.inference.predictors import open_predictor
from training.visualization.prediction_grid import GREY, Tile, TileRenderer, draw_tile_grid
from training.visualization.target_grid import PAPER

T = PASCAL_PERSON_PART
TURNED = 6  # EXIF: the camera was held upright


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return figure_bundle(tmp_path_factory.mktemp("renderer") / "bundle")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A person at the left and one at the right, in every format, one of them stored on its side; and nobody."""
    folder = tmp_path_factory.mktemp("renderer") / "images"
    folder.mkdir()
    image = Image.fromarray(figure_image((192, 288), (1, 2, (30, 30, 90, 150)), (2, 4, (180, 30, 240, 180))))
    for name in ("a.jpg", "b.png", "c.webp", "d.avif"):
        image.save(folder / name, quality=100)
    exif = Image.Exif()
    exif[0x0112] = TURNED
    image.rotate(90, expand=True).save(folder / "e.JPG", "JPEG", quality=100, exif=exif)
    Image.new("RGB", (100, 300)).save(folder / "f.png")
    (folder / "g.png").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_images_are_found_and_read_upright(images: Path, tmp_path: Path) -> None:
    paths = find_images([images, images / "notes.txt"])
    assert " ".join(path.name for path in paths) == "a.jpg b.png c.webp d.avif e.JPG f.png g.png notes.txt"
    exact = read_upright(images / "b.png")
    for path in paths[:5]:
        assert read_upright(path).shape == (192, 288, 3)
        assert abs(read_upright(path).astype(int) - exact).mean() < 3
    for path in paths[6:]:
        with pytest.raises(DatasetError, match=f"{path.name} cannot be read"):
            read_upright(path)
    with pytest.raises(DatasetError, match="no images in"):
        find_images([tmp_path])


def test_transparent_pixels_are_white(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert (read_upright(tmp_path / "clear.png") == 255).all()


def test_people_are_drawn_where_they_are(bundle: Path, images: Path) -> None:
    renderer = TileRenderer(open_predictor(bundle, "standard"), side=144)
    tile = renderer.tile(images / "b.png")
    assert (tile.picture.size, tile.name) == ((144, 96), "b.png")
    assert tile.note.startswith("2 people, ")
    picture = np.asarray(tile.picture).astype(int)
    # Half the image's size: the first person's corner is at (15, 15), away from skeletons at (40, 20).
    for person, part, (x, y) in ((1, 2, (40, 20)), (2, 4, (94, 20))):
        expected = 0.45 * np.array(color(person, part)) + 0.55 * np.array(T.palette[part - 1])
        np.testing.assert_allclose(picture[y, x], expected, atol=4)
    assert not picture[:13].any()
    assert not picture[:, 48:88].any()
    turned = np.asarray(renderer.tile(images / "e.JPG").picture).astype(int)
    assert abs(turned - picture).mean() < 4
    assert renderer.tile(images / "f.png").note.startswith("no people, ")
    assert renderer.tile(images / "f.png").picture.size == (48, 144)


def test_hidden_images_leave_the_predictions(bundle: Path, images: Path) -> None:
    shown, hidden = (
        np.asarray(TileRenderer(open_predictor(bundle, "standard"), 144, hidden).tile(images / "b.png").picture).astype(
            int
        )
        for hidden in (False, True)
    )
    background, person = (85, 130), (50, 20)  # (y, x): nobody, and the first person
    assert tuple(hidden[background]) == (GREY, GREY, GREY) != tuple(shown[background])
    assert hidden[person].max() - hidden[person].min() > 40  # in the color of its part


def test_tiles_stand_in_rows_above_their_text() -> None:
    red, green, blue = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
    tiles = [
        Tile(Image.new("RGB", (100, 60), red), "red.jpg", "1 person, 5 ms"),
        Tile(Image.new("RGB", (50, 100), green), "green.jpg", "1 person, 5 ms"),
        Tile(Image.new("RGB", (100, 40), blue), "b" * 60 + ".jpg", "1 person, 5 ms"),
    ]
    sheet = np.asarray(draw_tile_grid(tiles, 2, 100, T, "title"))
    boxes = []
    for rgb in (red, green, blue):
        ys, xs = np.nonzero((sheet == rgb).all(axis=2))
        boxes.append((xs.min(), xs.max(), ys.min(), ys.max()))
    first, second, third = boxes
    assert first[1] - first[0] == third[1] - third[0] == 99
    assert first[0] == third[0]
    assert second[0] - first[1] == 8 + 25 + 1  # gap and the half of what is left of the column
    assert first[2] + first[3] == second[2] + second[3]  # in the middle of its row
    text = sheet[second[3] + 1 : third[2], first[0] : first[1]]
    assert (text != PAPER).any()
    below = sheet[third[3] + 1 : third[3] + 24]
    assert (below[:, third[0] : third[1] + 1] != PAPER).any()
    assert (below[:, third[1] + 8 :] == PAPER).all()  # a long name is shortened
    for rgb in T.palette:
        assert (sheet == rgb).all(axis=2).any()


def test_the_command(bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "sheet.jpg"
    assert main(["visualize", str(bundle), str(images), "--out", str(out), "--columns", "3", "--side", "96"]) == 0
    text = capsys.readouterr()
    assert text.out == f"6 images: {out}\n"
    assert f"left out: {images / 'g.png'} cannot be read" in text.err
    with Image.open(out) as sheet:
        assert sheet.width == 8 + 3 * 104
    small = ["--limit", "2", "--side", "48"]
    assert main(["visualize", str(bundle), str(images), "--out", str(out), *small]) == 0
    assert capsys.readouterr().out.startswith("1 images:")  # the first of them and the last, which is broken


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--columns", "0"], "choose at least 1"),
        (["--side", "8"], "tiles of 8 pixels"),
        (["--out", "sheet.txt"], "name one of .jpg"),
        (["--out", "nowhere/sheet.jpg"], "in an existing folder"),
        (["--limit", "1"], "none of 1 images can be read"),
    ],
)
def test_wrong_arguments(
    bundle: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    command = ["visualize", str(bundle), str(images / "g.png"), "--out", str(tmp_path / "sheet.png"), *arguments]
    assert main(command) == 2
    assert message in capsys.readouterr().err
