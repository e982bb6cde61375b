"""Image grid of predictions for images without labels: a tile per image, with two lines of text below."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.errors import InputError
from model.manifest import Size
from model.taxonomy import Taxonomy
from training.data.samples import UInt8
from training.data.unlabeled_images import read_upright, unlabelled
from training.inference.predictions import Prediction, parse_scales, to_image
from training.inference.predictors import Predictor
from training.visualization.drawing import draw_people
from training.visualization.target_grid import GAP, INK, LINE, PAPER, QUIET, draw_legend

GREY = 96  # background if images are hidden
FINE = 2  # supersampling factor of tiles
FONT = ImageFont.load_default(14)
BELOW = 2 * LINE + GAP  # height of a tile's text
NOTE = "Left and right are the person's own. Outlines and skeletons have a color for each person."


class Tile(NamedTuple):
    """An image with its people drawn on it, and the text below."""

    picture: Image.Image
    name: str
    note: str


class TileRenderer:
    """Draws images parsed by `predictor` as tiles of at most `side` pixels; on gray instead of the image if `hidden`.

    Raises InputError for a side below 32 pixels.
    """

    def __init__(self, predictor: Predictor, side: int, hidden: bool = False) -> None:
        if side < 32:
            raise InputError(f"tiles of {side} pixels: choose at least 32")
        self.predictor, self.side, self.hidden = predictor, side, hidden
        self._warm: set[Size] = set()  # image sizes parsed before: the first run of a size takes longer

    def tile(self, path: Path) -> Tile:
        """Parse an image, and draw it. Raises DatasetError as `read_upright` does."""
        image = read_upright(path)
        sample = unlabelled(image, path.name, self.predictor.taxonomy)
        if sample.size not in self._warm:
            parse_scales(self.predictor.parse, sample, self.predictor.scales)
            self._warm.add(sample.size)
        start = time.perf_counter()
        found, box = parse_scales(self.predictor.parse, sample, self.predictor.scales)
        milliseconds = 1e3 * (time.perf_counter() - start)
        scale = FINE * self.side / max(sample.size)
        height, width = (max(FINE, round(length * scale)) for length in sample.size)
        drawn = box._replace(scale_x=box.width / width, scale_y=box.height / height)
        people = to_image(found, drawn, (height, width))
        count = len(people.score)
        note = f"{count or 'no'} {'person' if count == 1 else 'people'}, {milliseconds:.0f} ms"
        shown = np.full_like(image, GREY) if self.hidden else image
        return Tile(_draw(shown, people, self.predictor.taxonomy), path.name, note)


def draw_tile_grid(tiles: Sequence[Tile], columns: int, side: int, taxonomy: Taxonomy, title: str) -> Image.Image:
    """Draw `title`, the tiles in columns of `side` pixels, each row as high as its highest tile, and a legend.

    Raises ValueError for no tiles or columns.
    """
    if not tiles or columns < 1:
        raise ValueError("a grid needs at least one image and one column")
    columns = min(columns, len(tiles))
    rows = [tiles[i : i + columns] for i in range(0, len(tiles), columns)]
    heights = [max(tile.picture.height for tile in row) for row in rows]
    width = GAP + columns * (side + GAP)
    legend = draw_legend(list(zip(taxonomy.part_names, taxonomy.palette, strict=True)), width - 2 * GAP, NOTE)
    above = GAP + LINE + GAP
    grid = Image.new("RGB", (width, above + sum(heights) + len(rows) * BELOW + legend.height + GAP), PAPER)
    draw = ImageDraw.Draw(grid)
    draw.text((GAP, GAP), title, INK, ImageFont.load_default(17))
    y = above
    for row, height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            x = GAP + column * (side + GAP)
            grid.paste(tile.picture, (x + (side - tile.picture.width) // 2, y + (height - tile.picture.height) // 2))
            draw.text((x + side / 2, y + height + 3), _shortened(tile.name, side), INK, FONT, "ma")
            draw.text((x + side / 2, y + height + LINE), tile.note, QUIET, FONT, "ma")
        y += height + BELOW
    grid.paste(legend, (GAP, y))
    return grid


def _draw(image: UInt8, people: Prediction, taxonomy: Taxonomy) -> Image.Image:
    height, width = people.part_map.shape
    large = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    painted = draw_people(large, people.part_map, people.person_map, people.keypoints, taxonomy, line=2 * FINE)
    return Image.fromarray(painted).reduce(FINE)


def _shortened(name: str, width: int) -> str:
    """Cut the middle of `name` if it is wider than `width` pixels."""
    kept = len(name)
    while FONT.getlength(name) > width and kept > 8:
        kept -= 1
        name = f"{name[: kept // 2]}...{name[-(kept // 2) :]}"
    return name
