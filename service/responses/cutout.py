"""Cuts people out of their image: everything else becomes transparent."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from service.parsing.parser import Parsed
from service.problems import invalid_parameter

SOFTNESS = 0.7  # pixels, standard deviation: takes the steps off the contour


def cutout(image: Image.Image, parsed: Parsed, person: int | None) -> Image.Image:
    """Return the upright image, at any scale, as RGBA in which only one person, or everybody, can be seen.

    The contour is soft by a pixel to each side. What is transparent is black: nothing of it is left in the file.
    Raises Problem "invalid-parameter" if there is no such person.
    """
    ids = (np.flatnonzero(parsed.output.person_score > 0) + 1).tolist()
    if person is not None and person not in ids:
        found = f"the ids are {', '.join(map(str, ids))}" if ids else "nobody was found"
        raise invalid_parameter("person", f"person={person} is not in the image: {found}")
    people = parsed.id_runs((image.height, image.width)).people().painted()
    mask = people > 0 if person is None else people == person
    alpha = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(SOFTNESS))
    picture = Image.new("RGB", image.size)
    picture.paste(image, mask=alpha.point(lambda value: 255 if value else 0))
    picture.putalpha(alpha)
    return picture
