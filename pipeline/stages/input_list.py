r"""The text of `inputs.tsv` and `dataset.json`: names of any kind go in, only what is sound comes out.

Lines end in "\n" alone. A name may hold whatever a file system allows: tabs, line ends, NUL and bytes that
are no UTF-8 are written as ``\x09``, and a backslash only where it would otherwise read as such. All other
names stand as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

COLUMNS = ("name", "image", "label", "instance", "height", "width")
MAX_SIDE = 2**31 - 1

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


def format_list(lines: Sequence[str], sizes: NDArray[np.int32]) -> str:
    """The content of inputs.tsv."""
    rows = [f"{line}\t{h}\t{w}" for line, (h, w) in zip(lines, sizes.tolist(), strict=True)]
    return "\n".join(["\t".join(COLUMNS), *rows]) + "\n"


def parse_list(content: bytes) -> tuple[list[tuple[str, str, str, str]], NDArray[np.int32]]:
    """Names (name, image, label, instance) and sizes (N, 2) from the content of inputs.tsv.

    Raises
    ------
    ValueError
        Says what is wrong, and in which line.
    """
    text = content.decode("utf-8")
    if not text.endswith("\n"):
        raise ValueError("it is cut short" if text else "it is empty")
    lines = [line.removesuffix("\r") for line in text[:-1].split("\n")]
    if tuple(lines[0].split("\t")) != COLUMNS:
        raise ValueError(f"the first line does not name the columns {', '.join(COLUMNS)}")
    names, sizes = [], np.zeros((len(lines) - 1, 2), np.int32)
    for i, line in enumerate(lines[1:]):
        fields = line.split("\t")
        if len(fields) != len(COLUMNS):
            raise ValueError(f"line {i + 2} has {len(fields)} columns, not {len(COLUMNS)}")
        if not all(fields[:3]) or "\0" in line:
            raise ValueError(f"line {i + 2} names no files")
        sizes[i] = [_side(field, i + 2) for field in fields[4:]]
        name, image, label, instance = map(unescape, fields[:4])
        names.append((name, image, label, instance))
    return names, sizes


def _side(text: str, line: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and int(text) <= MAX_SIDE):
        raise ValueError(f"line {line}: {text[:20]!r} is not a number of pixels")
    return int(text)


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
