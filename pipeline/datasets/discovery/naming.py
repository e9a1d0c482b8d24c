"""Files that name the classes: lists, tables of colours, data.yaml, dataset.json and their kin."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.datasets.discovery.json_files import read_object
from pipeline.datasets.discovery.layout import NamedClass
from pipeline.datasets.discovery.tree import Tree
from pipeline.datasets.limits import read_limited
from pipeline.errors import AdaprepError

FILES = (
    "classes.txt", "class_names.txt", "classnames.txt", "labels.txt", "names.txt", "obj.names", "codes.txt",
    "label_names.txt", "categories.txt", "label_colors.txt", "label_colours.txt", "labelcolors.txt",
    "labelmap.txt", "label_map.txt", "class_dict.csv", "class_dict_seg.csv", "classes.csv", "_classes.csv",
    "labels.csv", "colors.csv", "palette.csv", "objectinfo150.txt", "dataset.json", "classes.json",
    "labels.json", "label_map.json", "id2label.json", "config.json", "meta.json",
)  # fmt: skip
"""Names that such files have, in lower case."""

MAX_BYTES = 4 * 2**20
MAX_ROWS = 70_000
VOID_NAMES = re.compile(
    r"void|ignored?|__ignore__|unlabell?ed|unknown|don'?t ?care|dont_care|border|boundary|edge|undefined|"
    r"not labell?ed|no label|out of roi|neutral",
    re.IGNORECASE,
)
NUMBER = re.compile(r"\d{1,5}")
HEADINGS = frozenset(("name", "class", "class name", "label", "classname", "category", "names", "label name"))


def is_void(name: str) -> bool:
    """Whether a class is called as those are that count for nothing."""
    return VOID_NAMES.fullmatch(name.strip().strip("_")) is not None


def find(tree: Tree) -> tuple[tuple[NamedClass, ...], str]:
    """The classes that a file of the tree names, and its path; none and "" where no file does."""
    for file in sorted(tree.named(*FILES), key=lambda f: (f.count("/"), FILES.index(_last(f)))):
        if rows := read(tree.root / file):
            return rows, file
    for file in tree.ending_in(".yaml", ".yml"):
        if names := yolo_names(tree.root / file):
            return tuple(NamedClass(name, number) for number, name in sorted(names.items())), file
    return (), ""


def _last(file: str) -> str:
    return file.rpartition("/")[2].lower()


def read(path: Path) -> tuple[NamedClass, ...]:
    """The classes of one file; none where it is not understood."""
    if path.suffix.lower() == ".json":
        return _from_json(read_object(path) or {})
    try:
        text = read_limited(path, MAX_BYTES).decode("utf-8-sig")
    except (AdaprepError, UnicodeDecodeError):
        return ()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("#")]
    if not lines or len(lines) > MAX_ROWS or not all(line.replace("\t", " ").isprintable() for line in lines):
        return ()
    if path.suffix.lower() == ".csv":
        rows = list(csv.reader(io.StringIO("\n".join(lines)), skipinitialspace=True))
    else:
        rows = [_fields(line) for line in lines]
    if len(rows) > 1 and not any(map(_is_number, rows[0])) and all(any(map(_is_number, r)) for r in rows[1:]):
        rows = rows[1:]  # a heading
    named = [_row([field.strip() for field in row]) for row in rows]
    known = [row for row in named if row]
    return tuple(known) if len(known) >= len(rows) - 1 else ()


PATTERNS = (
    (r"(?P<name>[^:]+):(?P<r>\d+),(?P<g>\d+),(?P<b>\d+):.*", ("name", "r", "g", "b")),  # CVAT
    (r"(?P<id>\d+)[\s:=]\s*(?P<name>\D.*)", ("id", "name")),
    (r"(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)\s+(?P<name>\D.*)", ("name", "r", "g", "b")),
    (r"(?P<id>\d+)\s+(?P<name>\D.*?)\s+(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)", ("id", "name", "r", "g", "b")),
    (r"(?P<name>\D.*?)\s+(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)", ("name", "r", "g", "b")),
    (r"(?P<name>\D.*?)\s*[\s:=]\s*(?P<id>\d+)", ("id", "name")),
)
"""How a line without tabs, semicolons and commas between its fields may name a class."""


def _fields(line: str) -> list[str]:
    """The fields of a line. Blanks part numbers from a name, not its words from each other."""
    for pattern, fields in PATTERNS:
        if match := re.fullmatch(pattern, line):
            return [match[field] for field in fields]
    mark = next((mark for mark in "\t;," if mark in line), None)
    return line.split(mark) if mark else [line]


def _row(fields: list[str]) -> NamedClass | None:
    """A class of a row: a name, and one number for the id, three for the colour, or four for both."""
    words = [field for field in fields if field and not _is_number(field)]
    numbers = [int(field) for field in fields if NUMBER.fullmatch(field)]
    if not words or words[0].lower() in HEADINGS:
        return None
    whole = all(NUMBER.fullmatch(field) for field in fields if _is_number(field))
    color = _color(numbers[-3:]) if whole and len(numbers) in (3, 4) else None
    number = numbers[0] if numbers and len(numbers) != 3 else None
    name = words[0].strip("\"' ")
    return NamedClass(name, number, color, is_void(name))


def _is_number(field: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", field) is not None


def _color(numbers: Sequence[int]) -> tuple[int, int, int] | None:
    red, green, blue = numbers
    return (red, green, blue) if max(numbers) < 256 else None


def yolo_names(path: Path) -> dict[int, str]:
    """The `names` of YOLO's data.yaml by number; none where it has none."""
    try:
        content = yaml.safe_load(read_limited(path, MAX_BYTES))
    except (AdaprepError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    names = content.get("names") if isinstance(content, dict) else None
    return _numbered(names)


def _numbered(names: Any) -> dict[int, str]:
    """Names by number, of a list or of a mapping in either direction."""
    if isinstance(names, list):
        return {number: name for number, name in enumerate(names) if isinstance(name, str)}
    if not isinstance(names, dict):
        return {}
    if all(isinstance(name, str) and NUMBER.fullmatch(str(key)) for key, name in names.items()):
        return {int(key): name for key, name in names.items()}
    if all(isinstance(key, str) and NUMBER.fullmatch(str(value)) for key, value in names.items()):
        return {int(value): key for key, value in names.items()}
    return {}


def _from_json(content: dict[str, Any]) -> tuple[NamedClass, ...]:
    """The classes of a JSON file: nnU-Net's `labels`, transformers' `id2label`, rows, or a mapping."""
    for key in ("labels", "id2label", "classes", "categories", "names"):
        value = content.get(key)
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
            rows = [_json_row(row, number) for number, row in enumerate(value)]
            return tuple(row for row in rows if row)
        if names := _numbered(value):
            return tuple(
                NamedClass(name, number, void=is_void(name)) for number, name in sorted(names.items())
            )
    names = _numbered(content) if content else {}
    return tuple(NamedClass(name, number, void=is_void(name)) for number, name in sorted(names.items()))


def _json_row(row: dict[str, Any], number: int) -> NamedClass | None:
    """A row of a list of classes; of Mapillary's config.json the place in the list is the id."""
    names = [row[key] for key in ("readable", "title", "name", "label") if isinstance(row.get(key), str)]
    if not names:
        return None
    ids = [row[key] for key in ("id", "value", "trainId", "index") if isinstance(row.get(key), int)]
    color = row.get("color")
    rgb = hex_color(color) if isinstance(color, str) else None
    if isinstance(color, list) and len(color) >= 3 and all(isinstance(c, int) for c in color):
        rgb = _color(color[:3])
    return NamedClass(names[0], ids[0] if ids else number, rgb, is_void(names[0]))


def hex_color(text: Any) -> tuple[int, int, int] | None:
    """The colour of "#rrggbb"; None of anything else."""
    try:
        red, green, blue = bytes.fromhex(text.removeprefix("#"))
    except (AttributeError, ValueError):
        return None
    return red, green, blue
