"""What to say of files and folders that are not there: what is there instead, and what was meant."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from pipeline.datasets.limits import listed
from pipeline.datasets.yaml_nodes import did_you_mean
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.storage import StoredPath, is_dir

MAX_LOOKED_AT = 200_000
"""Names in a folder among which one like a missing one is looked for."""


class MissingFolder(AdaprepError):
    """A folder that a description names is not there: nothing of its split can be read."""


def no_place(path: Path) -> str:
    """That a folder or file is not there, and which names in the last folder there is are like its name."""
    below = next((p for p in (path, *path.parents) if is_dir(p.parent)), path)
    names = sorted(entry.name for entry in below.parent.iterdir() if not entry.name.startswith("."))
    here = [name for name in names if is_dir(below.parent / name) or (below == path and path.suffix)]
    hint = did_you_mean(below.name, tuple(here)).rstrip(".")
    others = f". There {'is' if len(here) == 1 else 'are'}: {listed(here[:8])}" if here and not hint else ""
    return f"there is no {below.name!r} in {below.parent}{hint}{others}"


def with_hint(error: FileError, path: Path, endings: tuple[str, ...]) -> FileError:
    """The error about a label file; where it is not there, with what is there under a name like its name."""
    if not str(error).endswith(": no such file"):
        return error
    stem = path.stem
    close = [name for name in _names(path.parent) if name.startswith(stem) and name != path.name]
    close = [name for name in close if not name[len(stem)].isalnum()]
    if not close:
        return error
    name = min(close, key=lambda other: (len(other), other))
    rest, ending = os.path.splitext(name[len(stem) :])
    wanted = f"label maps must be {', '.join(sorted({end[1:].upper() for end in endings}))}"
    fits = ending.lower() in endings
    remedy = f"if that is it, add label_suffix: {rest}" if fits and rest else wanted
    return FileError(printable(f"{error}; there is {name}: {remedy}"))


def _names(folder: Path) -> frozenset[str]:
    if isinstance(folder, StoredPath):
        return frozenset(path.name for path in folder.iterdir())
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return frozenset()


@lru_cache(4)
def _listed(folder: Path, time: int) -> frozenset[str]:
    names = os.listdir(folder)
    return frozenset(names) if len(names) <= MAX_LOOKED_AT else frozenset()
