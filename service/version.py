"""Tells the version of this program."""

from __future__ import annotations

from importlib import metadata

UNKNOWN = "unknown"  # run from its folder, as in the container, without being installed


def version() -> str:
    """Return the version of the installed package, `UNKNOWN` without one."""
    try:
        return metadata.version("humanparse")
    except metadata.PackageNotFoundError:
        return UNKNOWN
