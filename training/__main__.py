"""Command line `python -m training`: inspect data, train, evaluate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from model.errors import UserError
from training.commands import (
    ablate,
    benchmark_latency,
    benchmark_train,
    calibrate,
    convert,
    eager,
    evaluate,
    inspect,
    pseudo_label,
    robustness,
    train,
    tune_decoder,
    visualize,
)

COMMANDS = {
    "convert": convert,
    "pseudo-label": pseudo_label,
    "inspect": inspect,
    "train": train,
    "tune-decoder": tune_decoder,
    "calibrate": calibrate,
    "evaluate": evaluate,
    "robustness": robustness,
    "visualize": visualize,
    "ablate": ablate,
    "benchmark-latency": benchmark_latency,
    "benchmark-train": benchmark_train,
    "eager": eager,
}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; its namespaces have the command's `run` as `run_command`."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        command_parser = commands.add_parser(name, help=command.HELP, description=command.__doc__)
        command.add_arguments(command_parser)
        command_parser.set_defaults(run_command=command.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit status: 2 for a `UserError`."""
    chosen = build_parser().parse_args(arguments)
    try:
        run: Callable[[argparse.Namespace], int] = chosen.run_command
        return run(chosen)
    except UserError as error:
        print(f"python -m training: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
