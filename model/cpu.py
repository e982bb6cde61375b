"""Name and features of this machine's processor. Torch-free."""

from __future__ import annotations

import os
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def cpu_name() -> str:
    """The processor's name, or its architecture if the system does not tell."""
    return _field("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Instruction set extensions as Linux names them; empty elsewhere."""
    return frozenset(_field("flags").split())


def cpu_count() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def supports_bf16() -> bool:
    """Return whether bfloat16 products run in hardware rather than emulated."""
    return not cpu_flags().isdisjoint({"avx512_bf16", "amx_bf16"})


def _field(name: str) -> str:
    if CPUINFO.is_file():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return ""
