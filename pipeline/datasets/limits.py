"""How large input may be before it is refused, and how much of it a message shows."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.datasets.files import read_bytes
from pipeline.errors import FileError
from pipeline.names import printable
from pipeline.storage import is_file

MAX_SIDE = 65_535
"""Pixels along one side of a label map that text or JSON describes, where a few bytes claim any size."""

MAX_PIXELS = 2**28
"""Pixels of such a label map: five times the largest camera's."""

MAX_SHOWN = 30
"""Names that a message lists."""

_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxlist, _REPR.maxdict, _REPR.maxtuple = 3, 6, 4, 6
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100


def read_limited(path: Path, limit: int, may_be_empty: bool = False) -> bytes:
    """A file of at most `limit` bytes.

    Raises
    ------
    FileError
        It cannot be read or is larger; or it is empty, unless it may be.
    """
    try:
        data = read_bytes(path, limit + 1)
    except FileError as error:
        if may_be_empty and is_file(path) and path.stat().st_size == 0:
            return b""
        raise FileError(printable(str(error))) from error
    check_bytes(data, path, limit)
    return data


def check_bytes(data: bytes, path: Path, limit: int) -> None:
    """Raise FileError if a file, in memory, has more than `limit` bytes."""
    if len(data) > limit:
        raise FileError(printable(f"{path}: larger than {limit // 2**20} MiB, the most that is read"))


def short(value: Any) -> str:
    """`repr` of a value from a file for a message: printable, of bounded length and depth."""
    return printable(_REPR.repr(value)).replace("\n", "\\n")


def listed(names: Iterable[Any]) -> str:
    """Names with commas, the first `MAX_SHOWN` of them."""
    every = [str(name) for name in names]
    if len(every) <= MAX_SHOWN:
        return ", ".join(every)
    return f"{', '.join(every[:MAX_SHOWN])}, ... ({len(every)} in all)"
