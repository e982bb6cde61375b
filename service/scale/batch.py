"""Parses an archive of images into Parquet files, on one machine or many, and goes on where a run has stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from model.manifest import GRAPH, read_bundle
from service.commands.inputs import UsageError
from service.commands.parse import INTERRUPTED
from service.scale.engines import Engine
from service.scale.output import MANIFEST, PLAN, Done, Output, Plan, shard_name
from service.scale.sources import plan_shards
from service.settings import Settings

READERS = 16  # of the shards' counts at the end: an object store takes its time


@dataclass(frozen=True)
class Job:
    """The options of `humanparse batch`."""

    sources: tuple[str, ...]
    out: str
    shard_size: int = 128  # images, of files in folders; a tar or a row group of Parquet is a shard anyway
    image_column: str = "image"


def run_batch(job: Job, engine: Engine, settings: Settings) -> int:
    """Write a row a person into `job.out`, in shards; those that are done are skipped.

    The sources are listed once: a run that goes on has the images of the first one. Returns the exit status: 130 after
    Ctrl-C, else 0; images that could not be parsed are rows. Raises UsageError, and OSError if `out` cannot be written.
    """
    output = Output(job.out)
    plan = Plan.read(output) if output.has(PLAN) else _make_plan(job, engine, output, settings)
    _check_same(plan, job, settings)
    settings = _as_planned(plan, settings)
    before = output.shards()
    todo = [shard for shard in range(plan.shards) if shard not in before]
    if before:
        _say(f"{len(before)} of {plan.shards} shards are done")
    try:
        for _ in _with_progress(engine.parse(todo, output, settings) if todo else iter(()), plan, len(before)):
            pass
    except KeyboardInterrupt:
        _say(f"interrupted: {len(output.shards())} of {plan.shards} shards; the same command goes on from here")
        return INTERRUPTED
    manifest = _manifest(plan, output)
    output.write(MANIFEST, json.dumps(manifest, indent=1).encode())
    _say("{images} images, {people} people, {errors} images that could not be parsed".format(**manifest))
    return 0


def _make_plan(job: Job, engine: Engine, output: Output, settings: Settings) -> Plan:
    shards = plan_shards(job.sources, job.shard_size, job.image_column)
    return Plan.make(shards, _notes(job) | {"model": engine.model(settings)}, output)


def _notes(job: Job) -> dict[str, Any]:
    return {"sources": list(job.sources), "shard_size": job.shard_size, "image_column": job.image_column}


def _check_same(plan: Plan, job: Job, settings: Settings) -> None:
    """Raise UsageError if the output folder belongs to another command or bundle: its shards would not be of a kind."""
    manifest, model = read_bundle(settings.bundle), plan.notes["model"]
    asked = _notes(job) | {"name": manifest.name, "version": manifest.version, "graph": manifest.sha256[GRAPH]}
    asked |= {k: v for k in ("backend", "precision", "detail") if (v := getattr(settings, k)) != "auto"}
    planned = plan.notes | model
    for name, value in asked.items():
        if planned[name] != value:
            raise UsageError(f"{job.out} was begun with {name} {planned[name]}, not {value}: choose another --out")


def _as_planned(plan: Plan, settings: Settings) -> Settings:
    """Return the settings with what `auto` has come to: another machine would decide otherwise."""
    model = plan.notes["model"]
    return settings.model_copy(update={name: model[name] for name in ("backend", "detail", "precision")})


def _with_progress(done: Iterator[Done], plan: Plan, before: int) -> Iterator[Done]:
    """Show images, their rate and the time left; where tars hide their number, as the shards so far have it."""
    left = plan.shards - before
    known = plan.images() if not before else None
    with tqdm(total=known, unit="image", disable=not left) as bar:
        for number, one in enumerate(done, start=1):
            bar.update(one.images)
            if known is None:
                bar.total = round(bar.n * left / number)
            yield one


def _manifest(plan: Plan, output: Output) -> dict[str, Any]:
    sizes = output.shards()
    if missing := [shard for shard in range(plan.shards) if shard not in sizes]:
        raise OSError(f"{len(missing)} shards are not there: --out must be one place for every machine of the cluster")
    with ThreadPoolExecutor(READERS) as pool:
        shards = list(pool.map(lambda number: _shard(output, number, sizes[number]), range(plan.shards)))
    totals = {name: sum(shard[name] for shard in shards) for name in ("images", "people", "errors")}
    return plan.notes | totals | {"shards": shards}


def _shard(output: Output, number: int, size: int) -> dict[str, Any]:
    notes = output.notes(number)
    return {"file": shard_name(number), "bytes": size, **{k: notes[k] for k in ("images", "people", "errors")}}


def _say(message: str) -> None:
    tqdm.write(f"humanparse: {message}", file=sys.stderr)
