"""Kept memory, seen from outside: how many pages a process asks for."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

# Allocates and frees 64 MiB five times, as a step does with activations, and prints the page faults of the last four.
PROGRAM = """
import ctypes, resource, sys
from training.engine.malloc import disable_malloc_trim
if sys.argv[1] == "keep":
    assert disable_malloc_trim()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
for i in range(5):
    if i == 1:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    return int(subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux") or not hasattr(ctypes.CDLL(None), "mallopt"), reason="glibc's")
def test_freed_memory_is_not_asked_for_again() -> None:
    pages = 64 << 8  # of 4 KiB
    assert page_faults("leave") >= 4 * pages // 512  # even if all of them were huge pages
    assert page_faults("keep") < 16
