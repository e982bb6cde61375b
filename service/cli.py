"""The command line: humanparse serve | parse | bench."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from model.manifest import BundleError, read_bundle
from service.runtimes.types import BackendError
from service.settings import Settings, SettingsError, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, 1 for what went wrong with a photo or bundle, 2 for wrong usage."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    try:
        settings = load_settings(bundle=options.bundle, detail=options.detail)
        read_bundle(settings.bundle)  # before anything is started
        return _run(options, settings)
    except SettingsError as error:
        return _failed(str(error), 2)
    except (BundleError, BackendError) as error:
        return _failed(str(error), 1)


def _run(options: argparse.Namespace, settings: Settings) -> int:
    # Each command imports what it alone needs: a mistyped path should not wait for OpenVINO.
    if options.command == "serve":
        from service.http.server import serve

        given = {k: v for k, v in (("host", options.host), ("port", options.port)) if v is not None}
        return serve(settings.model_copy(update=given))
    if options.command == "parse":
        from service.commands.parse import parse_photos

        return parse_photos(options.photos, options.out, settings)
    from service.commands.bench import bench

    photo = options.photo or settings.bundle / "sample.jpg"
    if not photo.is_file():
        return _failed(f"{photo} is no file: name a photo of six people or so with --photo", 2)
    print(bench(photo, options.requests, settings))
    return 0


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
        "humanparse", description="Body parts, keypoints and masks of everybody in a photo."
    )
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", parents=[common], help="answer photos over HTTP")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=_port, help="port to listen on (default: 8000)")

    parse = commands.add_parser("parse", parents=[common], help="parse photos into files")
    parse.add_argument("photos", nargs="+", type=Path, metavar="PHOTO")
    parse.add_argument("--out", type=Path, required=True, help="folder for NAME.json, .parts.png, .people.png, ...")

    bench = commands.add_parser("bench", parents=[common], help="time a real server with a 1080p photo")
    bench.add_argument("--photo", type=Path, help="what to send (default: the bundle's sample.jpg)")
    bench.add_argument("--requests", type=_positive, default=50, help="how many, one after the other (default: 50)")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not in 0..65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return number


if __name__ == "__main__":
    sys.exit(main())
