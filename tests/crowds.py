"""Images of several people that may be shared: scikit-image's astronaut (NASA, public domain), tiled.

`python -m tests.crowds PATH` writes the gallery of six as a 1080p JPEG: the default bundle's sample image.
"""

from __future__ import annotations

import sys

import skimage.data
from PIL import Image

SIZE = (1080, 1920)  # height, width


def gallery(columns: int = 3, rows: int = 2, size: tuple[int, int] = SIZE) -> Image.Image:
    """`columns` x `rows` views of one person, every other one mirrored, each a little closer than the last."""
    sheet = Image.new("RGB", size[::-1])
    height, width = size[0] // rows, size[1] // columns
    person = Image.fromarray(skimage.data.astronaut())
    for index in range(columns * rows):
        view = person if index % 2 == 0 else person.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        zoom = 1.0 - 0.04 * index  # of the image's width that is shown
        shown = (round(512 * zoom), round(512 * zoom * height / width))  # width, height
        left = round((512 - shown[0]) / 2) if index % 2 else round((512 - shown[0]) / 3)
        tile = view.crop((left, 0, left + shown[0], shown[1])).resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(tile, (index % columns * width, index // columns * height))
    return sheet


if __name__ == "__main__":
    gallery().save(sys.argv[1], quality=85)
