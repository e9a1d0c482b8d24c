"""Where files lie when it is no folder of this machine: an object store, or an archive that is not unpacked.

`as_path` makes a path of what a person typed. What it gives is used as any `Path`: names, parents, `/`, and
`exists`, `open`, `read_bytes`, `iterdir`, `glob`. Only functions of `os` and the built-in `open` do not know
it, so `exists`, `is_dir`, `is_file` below stand for those of `os.path`.
"""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.storage.errors import StorageError
from pipeline.storage.paths import (
    ADDRESS,
    StoredPath,
    as_path,
    file_path,
    folders_in,
    holding,
    joined,
    listed_versions,
)
from pipeline.storage.tree import reading

__all__ = [
    "ADDRESS",
    "StorageError",
    "StoredPath",
    "as_path",
    "exists",
    "file_path",
    "folders_in",
    "holding",
    "is_address",
    "is_dir",
    "is_file",
    "joined",
    "lexists",
    "listed_versions",
    "read_part",
    "reading",
]


def is_address(path: Path) -> bool:
    """Whether a path is one of an object store."""
    return isinstance(path, StoredPath) and path.is_remote


def exists(path: Path) -> bool:
    """As `os.path.exists`. Raises StorageError where an object store cannot be asked."""
    return path.exists() if isinstance(path, StoredPath) else os.path.exists(path)


def lexists(path: Path) -> bool:
    """As `os.path.lexists`. Raises StorageError as `exists` does."""
    return path.exists() if isinstance(path, StoredPath) else os.path.lexists(path)


def is_dir(path: Path) -> bool:
    """As `os.path.isdir`. Raises StorageError as `exists` does."""
    return path.is_dir() if isinstance(path, StoredPath) else os.path.isdir(path)


def is_file(path: Path) -> bool:
    """As `os.path.isfile`. Raises StorageError as `exists` does."""
    return path.is_file() if isinstance(path, StoredPath) else os.path.isfile(path)


def read_part(path: Path, start: int, stop: int) -> bytes:
    """The bytes [start, stop) of a file, in one request where it is in an object store. Raises OSError."""
    place = path.place() if isinstance(path, StoredPath) else None
    if place is not None:
        tree, key = place
        return tree.fetch(key, start, stop, None)[1]
    with open(path, "rb") as file:
        file.seek(start)
        return file.read(stop - start)
