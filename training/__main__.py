"""`python -m training`: look at data, train on it, measure what was trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from model.errors import UserError
from training.commands import (
    ablate,
    calibrate,
    convert,
    evaluate,
    gallery,
    inspect,
    label,
    robustness,
    runtime,
    speed,
    thresholds,
    train,
)

COMMANDS = {
    "convert": convert,
    "label": label,
    "inspect": inspect,
    "train": train,
    "thresholds": thresholds,
    "calibrate": calibrate,
    "evaluate": evaluate,
    "robustness": robustness,
    "gallery": gallery,
    "ablate": ablate,
    "runtime": runtime,
    "speed": speed,
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit status is 2 for a `UserError`."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command_parser = commands.add_parser(name, help=command.HELP, description=command.__doc__)
        command.add_arguments(command_parser)
        command_parser.set_defaults(run_command=command.run)
    chosen = parser.parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = chosen.run_command
        return run(chosen)
    except UserError as error:
        print(f"python -m training: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
