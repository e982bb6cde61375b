"""Parses image files into result files, without a server."""

from __future__ import annotations

import errno
import hashlib
import json
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

from tqdm import tqdm

from model.manifest import Manifest, read_bundle
from service.commands.inputs import Input, UsageError, find_inputs
from service.commands.results import (
    JSON,
    ForeignFileError,
    Origin,
    Results,
    State,
    foreign,
    read_own_json,
    write_together,
)
from service.images.header import ImageError, read_file
from service.images.stamp import is_stamped
from service.parsing.loading import load_parser
from service.parsing.parser import ImageParser
from service.responses.coco_dataset import coco_dataset
from service.responses.encoding import build_response, overlay_of, with_fields
from service.responses.label_maps import encoded, parts_png, people_png
from service.serving.timing import Stopwatch
from service.settings import Settings

DONE_BEFORE = "done before (--overwrite parses again)"
COCO_FILE = "results.coco.json"
INTERRUPTED = 130  # exit status, as shells report SIGINT
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no further image can be written either


@dataclass(frozen=True)
class Job:
    """The options of `humanparse parse`."""

    out: Path
    recursive: bool = False
    overwrite: bool = False
    coco: bool = False  # also write COCO_FILE


def parse_images(arguments: Sequence[str], job: Job, settings: Settings) -> int:
    """Write NAME.json, NAME.parts.png, NAME.people.png and NAME.overlay.jpg for each image.

    Images that are done are skipped, so that a command which was interrupted goes on when it is given again. An image
    that cannot be read is reported and the others go on. Returns the exit status: 1 if one could not, 130 after Ctrl-C.
    Raises UsageError, OSError if the folder cannot be written to, ForeignFileError if COCO_FILE is somebody else's.
    """
    inputs = find_inputs(arguments, recursive=job.recursive)
    if job.out.exists() and not job.out.is_dir():
        raise UsageError(f"--out {job.out} is a file: name a folder")
    job.out.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=job.out):
        pass  # told now rather than after loading the bundle
    if job.coco and (job.out / COCO_FILE).exists() and read_own_json(job.out / COCO_FILE, "annotations") is None:
        raise foreign(job.out / COCO_FILE)
    batch = _Batch(job, settings)
    try:
        for one in tqdm(inputs, unit="image", disable=len(inputs) == 1):
            batch.take(one)
            if batch.stopped:
                break
        if job.coco:
            batch.write_coco()
    except KeyboardInterrupt:
        _say(f"interrupted: {batch.summary()} of {len(inputs)} images; the same command goes on from here")
        return INTERRUPTED
    if len(inputs) > 1 or set(batch.counts) - {"parsed", "failed"}:
        _say(f"{batch.summary()} of {len(inputs)} images")
    return 1 if batch.counts["failed"] else 0


class _Batch:
    """The images of one command: counts what became of them."""

    def __init__(self, job: Job, settings: Settings) -> None:
        self.counts = Counter[str]()
        self.stopped = False
        self._job, self._settings = job, settings
        self._manifest: Manifest = read_bundle(settings.bundle)
        self._done: list[Results] = []

    @cached_property
    def _parser(self) -> ImageParser:
        return load_parser(self._settings, repeatable=True)  # not needed if everything is done

    def take(self, one: Input) -> None:
        """Parse an image, or skip it; report what is wrong with it."""
        results = Results(self._job.out / one.target)
        try:
            outcome = self._outcome(one, results)
        except (OSError, ImageError, ForeignFileError) as error:
            outcome = "failed"
            _say(f"{one.name}: {_reason(error, one)}")
            self.stopped = isinstance(error, OSError) and error.errno in DISK_FULL
        if outcome in ("parsed", DONE_BEFORE):
            self._done.append(results)
        self.counts[outcome] += 1

    def _outcome(self, one: Input, results: Results) -> str:
        data = _read(one, self._settings.max_bytes)
        if is_stamped(data):
            return "left out (pictures of humanparse)"
        manifest, detail = self._manifest, self._settings.detail
        origin = Origin(
            file_name=one.name,
            sha256=hashlib.sha256(data).hexdigest(),
            model=(manifest.name, manifest.version),
            detail=None if detail == "auto" else detail,
        )
        if results.state(origin, overwrite=self._job.overwrite) is State.DONE:
            return DONE_BEFORE
        results.write(_parse_image(self._parser, data, origin))
        return "parsed"

    def write_coco(self) -> None:
        """Write one COCO data set of all results. Raises OSError."""
        model = {"name": self._manifest.name, "version": self._manifest.version}
        responses = (response for results in self._done if (response := results.read()) is not None)
        dataset = coco_dataset(responses, self._manifest.taxonomy, model)
        write_together({self._job.out / COCO_FILE: json.dumps(dataset).encode()})

    def summary(self) -> str:
        """Return what became of the images, in words."""
        return ", ".join(f"{number} {outcome}" for outcome, number in self.counts.items()) or "0 parsed"


def _read(one: Input, max_bytes: int) -> bytes:
    if one.path is None:
        return read_file(sys.stdin.buffer, max_bytes)
    if one.path.exists() and not one.path.is_file():
        raise ImageError("broken-image", "this is no file")
    with one.path.open("rb") as file:
        return read_file(file, max_bytes)


def _parse_image(parser: ImageParser, data: bytes, origin: Origin) -> dict[str, bytes]:
    """Return the results by ending. The JSON comes last: it says that the others are there."""
    stopwatch = Stopwatch()
    with stopwatch.stage("decode"):
        prepared = parser.prepare(data)
    with stopwatch.stage("infer"):
        parsed = parser.infer(prepared)
    with stopwatch.stage("encode"):
        body = build_response(parser, parsed, "rle", uuid.uuid4().hex).model_dump_json().encode()
    runs, taxonomy = parsed.id_runs(), parser.manifest.taxonomy
    file = {"file_name": origin.file_name, "sha256": origin.sha256}
    return {
        ".parts.png": parts_png(runs, taxonomy),
        ".people.png": people_png(runs),
        ".overlay.jpg": encoded(overlay_of(parser, parsed, data), "image/jpeg"),
        JSON: with_fields(body, {"timings_ms": stopwatch.stop(), **file}),
    }


def _reason(error: Exception, one: Input) -> str:
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    elsewhere = error.filename not in (None, one.name)
    return f"{error.filename}: {error.strerror}" if elsewhere else error.strerror


def _say(message: str) -> None:
    tqdm.write(f"humanparse: {message}", file=sys.stderr)
