"""Errors that a user can mend: commands print the message alone. Anything else is a bug and keeps its traceback.

    UserError
    ├── BundleError          model/manifest.py
    ├── DatasetError         training/data/samples.py
    └── InputError           here; a ValueError, too
        ├── CheckpointError  model/checkpoint.py
        └── TaxonomyError    model/taxonomy.py

Torch-free: the service reads it too.
"""

from __future__ import annotations


class UserError(Exception):
    """The message names what is refused and the remedy; commands print it and exit with status 2."""


class InputError(UserError, ValueError):
    """An argument, a setting or a file's content is refused."""
