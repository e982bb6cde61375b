"""Makes glibc and Linux give back what runtimes no longer need; nothing on other systems."""

from __future__ import annotations

import ctypes
import re
import sys
from pathlib import Path
from typing import Any

MMAP_THRESHOLD = -3  # mallopt's name for it
LARGE = 2**20  # bytes
MADV_DONTNEED = 4
MAPS = Path("/proc/self/maps")


def spare_memory() -> None:
    """Take large buffers from the system and give them back when they are freed, whatever lies beside them.

    glibc raises this threshold as large buffers are freed: those of activations, which a runtime outgrows canvas by
    canvas, would stay in the heap.
    """
    if glibc := _glibc():
        glibc.mallopt(MMAP_THRESHOLD, LARGE)


def release_memory() -> None:
    """Give back what is free now, and the pages of OpenVINO's compiled models, which it maps from their files.

    It has copies of the weights by now, in the layout of its kernels. What it needs again is read again.
    """
    if glibc := _glibc():
        glibc.malloc_trim(0)
        for span in re.findall(r"^(\S+) r--[sp] .*\.blob$", MAPS.read_text(), re.MULTILINE):
            start, end = (int(address, 16) for address in span.split("-"))
            glibc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_DONTNEED)


def _glibc() -> Any:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    return library if hasattr(library, "malloc_trim") else None
