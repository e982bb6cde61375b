"""Runs a command of the command line: humanparse serve | parse | batch | bench | load | parity."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from model.manifest import BundleError, read_bundle
from service.arguments import build_parser
from service.logs import configure_logs
from service.runtimes.types import BackendError
from service.settings import Settings, SettingsError, load_settings

OF_RAY = ("min_replicas", "max_replicas", "workers", "gpus")  # options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 if an image or the bundle is faulty, 2 if the usage is wrong."""
    options = build_parser().parse_args(arguments)
    configure_logs("text")  # until the settings say otherwise
    if given := [name for name in OF_RAY if getattr(options, name, None) and options.engine != "ray"]:
        return _failed(f"--{given[0].replace('_', '-')} goes with --engine ray", 2)
    try:
        settings = load_settings(bundle=options.bundle, detail=options.detail)
        configure_logs(settings.log_format)
        read_bundle(settings.bundle)  # before anything is started
        return _run(options, settings)
    except SettingsError as error:
        return _failed(str(error), 2)
    except (BundleError, BackendError, OSError) as error:
        return _failed(str(error), 1)
    except KeyboardInterrupt:
        return _failed("interrupted", 130)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    # Each command imports its own needs: a mistyped path should not wait for OpenVINO.
    if options.command == "serve":
        given = {k: v for k, v in (("host", options.host), ("port", options.port)) if v is not None}
        return _serve(options, settings.model_copy(update=given))
    if options.command == "parse":
        return _parse(options, settings)
    if options.command == "load":
        return _load(options, settings)
    if options.command == "batch":
        return _batch(options, settings)
    if options.command == "parity":
        return _parity(options, settings)
    return _bench(options, settings)


def _bench(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.bench import Bench, BenchError, bench

    image = options.image or settings.bundle / "sample.jpg"
    if not image.is_file():
        return _failed(f"{image} is no file: name an image of six people or so with --image", 2)
    beside = options.rivals or options.checkpoint is not None
    try:
        report = bench(Bench(image, options.requests, options.rate, beside, options.checkpoint), settings)
    except BenchError as error:
        return _failed(str(error), 1)
    print(json.dumps(report, indent=2))
    if options.plot is not None:
        from service.commands.bench_plot import plot

        try:
            plot(report, options.plot)
        except ImportError:
            return _failed("--plot needs matplotlib: pip install matplotlib", 2)
    return 0


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    if options.engine == "ray":
        try:
            from service.scale.online import Options, serve_on_ray
        except ModuleNotFoundError as error:
            return _failed(_without(error), 2)

        least = options.min_replicas or 1
        most = options.max_replicas or least
        return serve_on_ray(settings, Options(min_replicas=least, max_replicas=most, gpus=options.gpus or 0))

    from service.serving.lifecycle import Lifecycle
    from service.serving.listener import listen

    lifecycle = Lifecycle(settings)
    listener = listen(settings.host, settings.port)
    lifecycle.begin()  # beside the import of the web framework, which takes half a second
    try:
        from service.http.server import serve

        return serve(lifecycle, listener)
    except KeyboardInterrupt:
        os._exit(130)  # Python would wait for the thread that compiles the graph


def _parse(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.inputs import UsageError
    from service.commands.parse import Job, parse_images
    from service.commands.results import ForeignFileError

    job = Job(options.out, options.recursive, options.overwrite, coco=options.format == "coco")
    try:
        return parse_images(options.images, job, settings)
    except (UsageError, ForeignFileError) as error:
        return _failed(str(error), 2)
    except OSError as error:
        return _failed(f"cannot write to --out {options.out}: {error.strerror or error}", 2)


def _load(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.load import Load, LoadError, load
    from service.commands.load_streams import load_streams

    if options.stream and (options.deadline_ms or options.back_off or options.expect):
        return _failed("--stream goes without --deadline-ms, --back-off and --expect", 2)
    key = options.key_file.read_text(encoding="utf-8").strip() if options.key_file else None
    image = options.image or settings.bundle / "sample.jpg"
    asked = Load(
        options.url,
        image,
        options.clients,
        options.rate,
        options.seconds,
        options.deadline_ms,
        options.back_off,
        options.expect,
        key,
    )
    try:
        print(load_streams(asked) if options.stream else load(asked))
    except LoadError as error:
        return _failed(str(error), 1)
    return 0


def _parity(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.inputs import UsageError
    from service.commands.parity import measure_parity, write_parity

    try:
        print(write_parity(measure_parity(options.images, settings, options.accuracy), settings.bundle), end="")
    except UsageError as error:
        return _failed(str(error), 2)
    return 0


def _batch(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.inputs import UsageError

    try:
        from service.scale.batch import Job, run_batch
        from service.scale.engines import Engine, LocalEngine

        engine: Engine = LocalEngine()
        if options.engine == "ray":
            from service.scale.ray_engine import RayEngine

            engine = RayEngine(options.workers, options.gpus or 0)
        job = Job(tuple(options.sources), options.out, options.shard_size, options.image_column)
        return run_batch(job, engine, settings)
    except ModuleNotFoundError as error:
        return _failed(_without(error), 2)
    except UsageError as error:
        return _failed(str(error), 2)


def _without(error: ModuleNotFoundError) -> str:
    return f"{error.name} is not installed: pip install 'humanparse[scale]'"


def _failed(message: str, status: int) -> int:
    print(f"humanparse: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
