"""Plot of a latency analysis: against a top-down parser, and network and decoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Series, its label, and its color (Okabe and Ito's colors, which color-blind readers can tell apart).
BOTTOM_UP = ("whole", "this parser", "#0072B2")
TOP_DOWN = (
    ("top_down", "top-down: its network once a person", "#D55E00"),
    ("top_down_batch", "top-down: all people in one batch", "#CC79A7"),
)
HALVES = (
    BOTTOM_UP,
    ("network", "network", "#009E73"),
    ("decoder", "decoder", "#E69F00"),
    ("decoder_on_labels", "decoder, on maps made of labels", "#56B4E9"),
)


def plot(report: dict[str, Any], path: Path) -> None:
    """Plot medians as lines and the middle half of the times as bands; the suffix of `path` selects the format."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    against, halves = figure.subplots(1, 2)
    _lines(against, report, (BOTTOM_UP, *TOP_DOWN))
    against.set_title("Against a top-down parser of the same weights")
    _lines(halves, report, HALVES)
    halves.set_title("Network and decoder")
    machine = report["machine"]
    processor = machine.get("device", f"{machine['cpu']}, {machine['threads']} threads")
    figure.suptitle(f"{report['parser']}, {report['runtime']}, canvas {report['canvas'][0]} x {report['canvas'][1]}")
    figure.supxlabel(f"{processor}; medians and quartiles of {report['rounds']} rounds", fontsize="small")
    figure.savefig(path, dpi=120)


def _lines(axes: Axes, report: dict[str, Any], series: tuple[tuple[str, str, str], ...]) -> None:
    for name, words, color in series:
        if name in report["milliseconds"]:
            times = [report["milliseconds"][name][n] for n in report["people"]]
            axes.plot(report["people"], [t["median"] for t in times], "o-", color=color, markersize=4, label=words)
            low, high = ([t[q] for t in times] for q in ("q1", "q3"))
            axes.fill_between(report["people"], low, high, color=color, alpha=0.25, linewidth=0)
    axes.set_xlabel("people in the image")
    axes.set_ylabel("milliseconds")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.45)  # room for the legend above lines that are flat
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="upper left", fontsize="small")
