"""The machine that a time was measured on."""

from __future__ import annotations

import torch

from model.cpu import cpu_count, cpu_name


def machine(device: torch.device, threads: int) -> dict[str, str | int]:
    """Describe the accelerator, if `device` is one, the processor, the cores of this process, and its `threads`."""
    processor: dict[str, str | int] = {"cpu": cpu_name(), "cores": cpu_count(), "threads": threads}
    return processor if device.type == "cpu" else {"device": torch.cuda.get_device_name(device), **processor}


def synchronize(device: torch.device) -> None:
    """Wait for all work queued on an accelerator, before the clock is read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
