"""Makes glibc give back what runtimes free; nothing on other systems."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

MMAP_THRESHOLD = -3  # mallopt's name for it
LARGE = 2**20  # bytes


def spare_memory() -> None:
    """Take large buffers from the system and give them back when they are freed, whatever lies beside them.

    glibc raises this threshold as large buffers are freed: those of activations, which a runtime outgrows canvas by
    canvas, would stay in the heap.
    """
    if glibc := _glibc():
        glibc.mallopt(MMAP_THRESHOLD, LARGE)


def release_memory() -> None:
    """Give back what is free now."""
    if glibc := _glibc():
        glibc.malloc_trim(0)


def _glibc() -> Any:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
