"""Reads the command line: humanparse serve | parse | batch | bench | load | parity."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from model.manifest import BundleError, read_bundle
from service.logs import configure_logs
from service.runtimes.types import BackendError
from service.settings import Settings, SettingsError, load_settings
from service.version import version

OF_RAY = ("min_replicas", "max_replicas", "workers", "gpus")  # options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 if an image or the bundle is faulty, 2 if the usage is wrong."""
    options = _parser().parse_args(arguments)
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

    from service.http.server import serve

    return serve(settings)


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
        print(load(asked))
    except LoadError as error:
        return _failed(str(error), 1)
    return 0


def _parity(options: argparse.Namespace, settings: Settings) -> int:
    from service.commands.inputs import UsageError
    from service.commands.parity import measure_parity, write_parity

    try:
        print(write_parity(measure_parity(options.images, settings), settings.bundle), end="")
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


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--bundle", type=Path, help="folder of the bundle (default: bundles/default)")
    common.add_argument(
        "--detail", choices=("auto", "fast", "standard", "high", "finest"), help="how closely to look (default: auto)"
    )
    parser = argparse.ArgumentParser(
        "humanparse", description="Body parts, keypoints and masks of everybody in an image."
    )
    parser.add_argument("--version", action="version", version=f"humanparse {version()}")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", parents=[common], help="answer images over HTTP")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on (default: 8000)")
    serve.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: replicas on a cluster")
    serve.add_argument("--min-replicas", type=_positive, help="ray: at all times (default: 1)")
    serve.add_argument("--max-replicas", type=_positive, help="ray: under load (default: as at all times)")
    serve.add_argument("--gpus", type=float, help="ray: share of a GPU that a replica takes (default: 0)")

    parse = commands.add_parser("parse", parents=[common], help="parse images into files")
    parse.add_argument("images", nargs="+", metavar="IMAGE", help="file, folder, pattern, or - for standard input")
    parse.add_argument("--out", type=Path, required=True, help="folder for NAME.json, .parts.png, .people.png, ...")
    parse.add_argument("--recursive", action="store_true", help="look into the folders of folders")
    parse.add_argument("--overwrite", action="store_true", help="parse again what is done (default: skip it)")
    parse.add_argument(
        "--format", choices=("files", "coco"), default="files", help="coco: also one results.coco.json (default: files)"
    )

    batch = commands.add_parser("batch", parents=[common], help="parse an archive of images into Parquet files")
    batch.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="folder, pattern, image, .tar or .parquet; path or URI"
    )
    batch.add_argument("--out", required=True, help="folder, path or URI, for plan, people/*.parquet and manifest.json")
    batch.add_argument("--engine", choices=("local", "ray"), default="local", help="default: local")
    batch.add_argument("--workers", type=_positive, help="ray: most of them at once (default: as many as have room)")
    batch.add_argument("--gpus", type=float, help="ray: share of a GPU that a worker takes (default: 0)")
    batch.add_argument("--shard-size", type=_positive, default=128, help="images in a Parquet file (default: 128)")
    batch.add_argument("--image-column", default="image", help="of Parquet sources (default: image)")

    bench = commands.add_parser("bench", parents=[common], help="time a real server with a 1080p image")
    bench.add_argument(
        "--image", "--photo", dest="image", type=Path, help="file to send (default: sample.jpg of the bundle)"
    )
    bench.add_argument("--requests", type=_positive, default=50, help="number of requests in a row (default: 50)")
    bench.add_argument("--rate", type=float, help="then as many again at even intervals, so many a second")
    bench.add_argument("--rivals", action="store_true", help="the same network in ONNX Runtime f32, in turn")
    bench.add_argument(
        "--checkpoint", type=Path, help="of the bundle's network: also in eager torch with a Python decoder, in turn"
    )
    bench.add_argument("--plot", type=Path, help="draw the figures there, as PNG, SVG or PDF")

    parity = commands.add_parser("parity", parents=[common], help="compare the people of every runtime that is here")
    parity.add_argument(
        "images", nargs="*", metavar="IMAGE", help="file, folder or pattern (default: sample.jpg of the bundle)"
    )

    load = commands.add_parser("load", parents=[common], help="put a running server under load")
    load.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8000")
    load.add_argument("--image", type=Path, help="file to send, as 1080p (default: sample.jpg of the bundle)")
    load.add_argument("--clients", type=_positive, default=2, help="clients that send one after the other (default: 2)")
    load.add_argument("--rate", type=float, help="instead: images a second, at even intervals, whatever comes back")
    load.add_argument("--seconds", type=float, default=10.0, help="duration (default: 10)")
    load.add_argument("--deadline-ms", type=_positive, help="X-Deadline-Ms of each (default: none)")
    load.add_argument(
        "--back-off", type=float, help="seconds until a refused client tries again (default: what Retry-After says)"
    )
    load.add_argument("--expect", action="store_true", help="send the image after 100 Continue, as curl does")
    load.add_argument("--key-file", type=Path, help="file with the API key")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number in 0..65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
