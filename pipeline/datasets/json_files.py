"""Reading JSON that comes from anywhere: size, depth, numbers and repeated keys are checked by the parser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.datasets.limits import MAX_PIXELS, MAX_SIDE, check_bytes, short
from pipeline.errors import FileError
from pipeline.names import printable


def parse_json(data: bytes, path: Path, limit: int) -> Any:
    """What a file in memory says; `path` is for the errors.

    Raises
    ------
    FileError
        It is larger than `limit` bytes, no JSON, nested too deep, holds NaN, or gives a key twice.
    """
    check_bytes(data, path, limit)
    try:
        return json.loads(data, object_pairs_hook=without_repetition, parse_constant=no_number)
    except RecursionError as error:
        raise FileError(printable(f"{path}: not a JSON file: nested too deep")) from error
    except ValueError as error:
        raise FileError(printable(f"{path}: not a JSON file: {error}")) from error


def without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`. Raises ValueError for a key that is given twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {short(twice)} is given twice")
    return found


def no_number(word: str) -> Any:
    """For `parse_constant`."""
    raise ValueError(f"{word} is no number")


def said_size(height: Any, width: Any, path: Path) -> tuple[int, int]:
    """(H, W) that an annotation gives. Raises FileError where no image has such a size."""
    if not (is_whole(height) and is_whole(width) and min(height, width) > 0):
        said = f"height {short(height)} and width {short(width)}"
        raise FileError(printable(f"{path}: must give the image's height and width, got {said}"))
    if max(height, width) > MAX_SIDE or height * width > MAX_PIXELS:
        raise FileError(
            printable(
                f"{path}: says {short(width)} x {short(height)}, no size of an image: "
                f"a side may have {MAX_SIDE} pixels, all of it {MAX_PIXELS}"
            )
        )
    return height, width


def is_whole(value: Any) -> bool:
    """Whether it is a whole number: in Python, true and false are."""
    return isinstance(value, int) and not isinstance(value, bool)
