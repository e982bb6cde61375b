"""Defines the command line: the commands of `humanparse` and their options."""

from __future__ import annotations

import argparse
from pathlib import Path

from service.version import version


def build_parser() -> argparse.ArgumentParser:
    """Return the parser; `command` of what it reads is a command, the rest are its options."""
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
    parity.add_argument(
        "--accuracy",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="written by python -m training evaluate --runtime --json, one for each runtime",
    )

    load = commands.add_parser("load", parents=[common], help="put a running server under load")
    load.add_argument("url", metavar="URL", help="such as http://127.0.0.1:8000")
    load.add_argument("--image", type=Path, help="file to send, as 1080p (default: sample.jpg of the bundle)")
    load.add_argument("--clients", type=_positive, default=2, help="clients that send one after the other (default: 2)")
    load.add_argument("--rate", type=float, help="instead: images a second, at even intervals, whatever comes back")
    load.add_argument(
        "--stream",
        action="store_true",
        help="WS /stream: each client is a stream, and --rate its frames a second (default: the next when answered)",
    )
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
