"""The picture of a benchmark: the server's stages, and what stands beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def plot(report: dict[str, Any], path: Path) -> None:
    """Draw the percentiles; `path` names the format by its ending. Raises ImportError without matplotlib."""
    from matplotlib.figure import Figure

    model, machine = report["model"], report["machine"]
    bars = {stage: times for stage, times in report["stages_ms"].items() if stage != "total"}
    bars |= {"server, request to JSON": report["round_trip_ms"]}
    bars |= {name: rival["ms"] for name, rival in report["rivals"].items()}
    figure = Figure(figsize=(8, 0.5 * len(bars) + 1.6), layout="constrained")
    axes = figure.subplots()
    medians = [times["p50"] for times in bars.values()]
    beyond = [times["p95"] - times["p50"] for times in bars.values()]
    drawn = axes.barh(list(bars), medians, xerr=[[0.0] * len(bars), beyond], color="#0072B2", ecolor="#555555")
    axes.bar_label(drawn, fmt="%.1f", label_type="center", color="white", fontsize="small")
    axes.invert_yaxis()
    axes.set_xlabel("milliseconds: median, and the 95th percentile as a line")
    axes.set_title(f"{model['name']} {model['version']}, {model['detail']}, {model['backend']} {model['precision']}")
    figure.supxlabel(f"{machine['cpu']}, {machine['cores']} cores; {report['requests']} requests", fontsize="small")
    figure.savefig(path, dpi=120)
