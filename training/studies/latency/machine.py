"""Description of the machine that a time was measured on."""

from __future__ import annotations

import torch

from model.cpu import cpu_count, cpu_name


def machine(device: torch.device, threads: int) -> dict[str, str | int]:
    """The accelerator, if `device` is one, the processor, its cores that this process may use, and `threads` in use."""
    processor: dict[str, str | int] = {"cpu": cpu_name(), "cores": cpu_count(), "threads": threads}
    return processor if device.type == "cpu" else {"device": torch.cuda.get_device_name(device), **processor}


def synchronize(device: torch.device) -> None:
    """Wait for what was queued on an accelerator, so that a clock read afterwards has seen it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
