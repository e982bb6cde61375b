"""Time a checkpoint in eager torch with a Python decoder: paths of images in, milliseconds and people out, by lines."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from model.canvases import CANVASES
from training.studies.eager_parser import EagerParser

HELP = "time a checkpoint in eager torch with a Python decoder (for humanparse bench --checkpoint)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--detail", choices=tuple(CANVASES), default="fast", help="how large images are shown to it")


def run(chosen: argparse.Namespace) -> int:
    """Answer until standard input ends."""
    eager = EagerParser(chosen.checkpoint, chosen.detail)
    for line in sys.stdin:
        milliseconds, people = eager.measure(Path(line.strip()))
        print(f"{milliseconds:.2f} {people}", flush=True)
    return 0
