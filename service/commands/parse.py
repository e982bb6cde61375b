"""Parses image files into result files, without a server."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from service.images.header import ImageError
from service.parsing.loading import load_parser
from service.parsing.parser import ImageParser
from service.responses.encoding import build_response, overlay_of, with_timings
from service.responses.label_maps import encoded, parts_png, people_png
from service.serving.timing import Stopwatch
from service.settings import Settings


def parse_images(images: Sequence[Path], out: Path, settings: Settings) -> int:
    """Write NAME.json, NAME.parts.png, NAME.people.png and NAME.overlay.jpg for each image into `out`.

    An image that cannot be read is reported and the others go on. Returns the exit status: 1 where one could not.
    """
    repeated = [name for name, number in Counter(p.stem for p in images).items() if number > 1]
    if repeated:
        print(f"humanparse: several images are called {', '.join(repeated)}: rename or split them", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    parser = load_parser(settings)
    status = 0
    for image in tqdm(images, unit="image", disable=len(images) == 1):
        try:
            if image.stat().st_size > settings.max_bytes:
                raise ImageError("too-many-bytes", f"it is larger than {settings.max_bytes} bytes")
            _parse_image(parser, image.read_bytes(), out / image.stem)
        except (OSError, ImageError) as error:
            tqdm.write(f"humanparse: {image}: {error}", file=sys.stderr)
            status = 1
    return status


def _parse_image(parser: ImageParser, data: bytes, target: Path) -> None:
    stopwatch = Stopwatch()
    with stopwatch.stage("decode"):
        prepared = parser.prepare(data)
    with stopwatch.stage("infer"):
        parsed = parser.infer(prepared)
    with stopwatch.stage("encode"):
        body = build_response(parser, parsed, "rle", uuid.uuid4().hex).model_dump_json().encode()
    files = {
        ".json": with_timings(body, stopwatch.stop()),
        ".parts.png": parts_png(parsed.id_grid(), parser.manifest.taxonomy),
        ".people.png": people_png(parsed.id_grid()),
        ".overlay.jpg": encoded(overlay_of(parser, parsed, data), "image/jpeg"),
    }
    for suffix, content in files.items():
        target.with_name(target.name + suffix).write_bytes(content)
