r"""The text of `inputs.tsv` and `dataset.json`: names of any kind go in, only what is sound comes out.

Lines end in "\n" alone. A name may hold whatever a file system allows: tabs, line ends, NUL and bytes that
are no UTF-8 are written as ``\x09``, and a backslash only where it would otherwise read as such. All other
names stand as they are.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("name", "image", "label", "instance", "height", "width")
MAX_SIDE = 2**31 - 1
PORTION = 4096
"""Lines whose sizes are turned into text at once."""

PLAIN = re.compile(r"[^\0\t\n\r\\\ud800-\udfff]*")
CODE = r"x(?:00|09|0a|0d|5c|[89a-f][0-9a-f])|ud[89a-f][0-9a-f]{2}"
SPECIAL = re.compile(rf"[\0\t\n\r\ud800-\udfff]|\\(?={CODE})")
ESCAPE = re.compile(rf"\\({CODE})")


def escape(text: str) -> str:
    """A name as one field of a line."""
    return text if PLAIN.fullmatch(text) else SPECIAL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as Python reads it from the file system
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def unescape(text: str) -> str:
    """The name that `escape` made a field of."""
    return ESCAPE.sub(_character, text) if "\\" in text else text


def _character(match: re.Match[str]) -> str:
    code = int(match[1][1:], 16)
    return chr(code + 0xDC00 if match[1][0] == "x" and code >= 0x80 else code)


def format_list(lines: Iterable[str], sizes: NDArray[np.int32]) -> str:
    """The content of inputs.tsv."""
    return "".join(formatted(lines, sizes))


def formatted(lines: Iterable[str], sizes: NDArray[np.int32]) -> Iterator[str]:
    """The lines of inputs.tsv, with what ends them, one after the other."""
    yield "\t".join(COLUMNS) + "\n"
    source = iter(lines)
    for start in range(0, len(sizes), PORTION):
        rows = sizes[start : start + PORTION].tolist()
        for line, (height, width) in zip(islice(source, len(rows)), rows, strict=True):
            yield f"{line}\t{height}\t{width}\n"


def parse_list(content: bytes) -> tuple[list[tuple[str, str, str, str]], NDArray[np.int32]]:
    """Names (name, image, label, instance) and sizes (N, 2) from the content of inputs.tsv.

    Raises
    ------
    ValueError
        Says what is wrong, and in which line.
    """
    names, sizes = [], []
    for _, fields, size in islice(parse_lines(io.BytesIO(content)), 1, None):
        name, image, label, instance = map(unescape, fields)
        names.append((name, image, label, instance))
        sizes.append(size)
    return names, np.array(sizes, np.int32).reshape(-1, 2)


def first_names(path: Path, count: int | None = None) -> list[tuple[str, str, str, str]]:
    """`parse_list` of the first lines of a file, or all, without their sizes. Raises OSError, too."""
    with path.open("rb") as file:
        rows = islice(parse_lines(file), 1, None if count is None else count + 1)
        return [(*map(unescape, fields),) for _, fields, _ in rows]  # type: ignore[misc]


def parse_lines(file: IO[bytes]) -> Iterator[tuple[int, list[str], tuple[int, int]]]:
    """Of the line that names the columns, then of each line: its bytes, four fields as they stand, and size.

    Raises
    ------
    ValueError
        As `parse_list`.
    """
    if not (length := file.seek(0, os.SEEK_END)):
        raise ValueError("it is empty")
    file.seek(length - 1)
    if file.read(1) != b"\n":
        raise ValueError("it is cut short")
    file.seek(0)
    head = file.readline()
    if tuple(head.decode("utf-8").rstrip("\n").removesuffix("\r").split("\t")) != COLUMNS:
        raise ValueError(f"the first line does not name the columns {', '.join(COLUMNS)}")
    yield len(head), [*COLUMNS[:4]], (0, 0)
    for number, data in enumerate(file, 2):
        line = data[:-1].decode("utf-8").removesuffix("\r")
        fields = line.split("\t")
        if len(fields) != len(COLUMNS):
            raise ValueError(f"line {number} has {len(fields)} columns, not {len(COLUMNS)}")
        if not (fields[0] and fields[1] and fields[2]) or "\0" in line:
            raise ValueError(f"line {number} names no files")
        yield len(data), fields[:4], (_side(fields[4], number), _side(fields[5], number))


def _side(text: str, line: int) -> int:
    if len(text) > 10 or (side := _pixels(text)) is None:
        raise ValueError(f"line {line}: {text[:20]!r} is not a number of pixels")
    return side


@lru_cache(maxsize=1024)  # a data set has few sizes
def _pixels(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and int(text) <= MAX_SIDE:
        return int(text)
    return None


@dataclass(frozen=True)
class StoredDescription:
    """What dataset.json says: how to open the data set again."""

    dataset: str
    root: str
    settings: dict[str, Any]
    targets: list[str]
    beside: dict[str, str] = field(default_factory=dict)  # paths as seen from the workspace
    yaml: str | None = None  # text of the YAML file, of a data set of the user's own


def parse_description(content: bytes) -> StoredDescription:
    """Check the content of dataset.json. Raises ValueError, which says what is wrong."""
    if not content:
        raise ValueError("it is empty")
    try:
        about = json.loads(content)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(about, dict):
        raise ValueError("it is not a JSON object")
    name, root, settings, targets = (about.get(k) for k in ("dataset", "root", "settings", "targets"))
    if not isinstance(name, str) or not name or "\0" in name:
        raise ValueError("dataset is not a name")
    if not isinstance(root, str) or not root or "\0" in root:
        raise ValueError("root is not a folder")
    if not isinstance(settings, dict) or settings.keys() & {"name", "root", "targets"}:
        raise ValueError("settings cannot be those of a data set")
    if not isinstance(targets, list) or not all(isinstance(t, str) for t in targets):
        raise ValueError("targets is not a list of names")
    beside, text = about.get("beside") or {}, about.get("yaml")
    if not isinstance(beside, dict) or not all(isinstance(p, str | None) for p in beside.values()):
        raise ValueError("beside does not hold paths")
    if text is not None and not isinstance(text, str):
        raise ValueError("yaml is not a text")
    seen = {key: path for key, path in beside.items() if path and "\0" not in path}
    return StoredDescription(name, root, settings, targets, seen, text)
