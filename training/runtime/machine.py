"""What a time was measured on: a number of milliseconds means nothing without it."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import torch

CPUINFO = Path("/proc/cpuinfo")


def machine(device: torch.device, threads: int) -> dict[str, str | int]:
    """The accelerator, if `device` is one, the processor, its cores that this process may use, and `threads` in use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processor: dict[str, str | int] = {"cpu": cpu_name(), "cores": cores, "threads": threads}
    return processor if device.type == "cpu" else {"device": torch.cuda.get_device_name(device), **processor}


def cpu_name() -> str:
    """The processor's name, or its architecture where the system does not tell."""
    lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def synchronise(device: torch.device) -> None:
    """Wait for what was queued on an accelerator, so that a clock read afterwards has seen it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
