"""Lists in text files: pairs of paths, and stems or paths of the images of a split."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from pipeline.datasets.discovery.layout import ONLY, FolderLayout, Pair, SplitPlace
from pipeline.datasets.discovery.tree import Tree, split_of
from pipeline.datasets.limits import read_limited
from pipeline.datasets.lists import MAX_BYTES
from pipeline.errors import AdaprepError

ENDINGS = (".txt", ".lst", ".tsv", ".list", ".csv")
MAX_LISTS = 60


class TextList(NamedTuple):
    """The lines of a file, each as its fields."""

    file: str
    rows: list[list[str]]


def read(tree: Tree) -> list[TextList]:
    """Text files that may be lists: those not beside a picture of their name."""
    found: list[TextList] = []
    for file in tree.ending_in(*ENDINGS):
        stem = os.path.splitext(os.path.basename(file))[0]
        if len(found) >= MAX_LISTS or any(stem + end in tree.by_name for end in (".jpg", ".png", ".JPG")):
            continue
        try:
            text = read_limited(tree.root / file, MAX_BYTES).decode("utf-8-sig")
        except (AdaprepError, UnicodeDecodeError):
            continue
        lines = [line.strip() for line in text.splitlines()]
        rows = [_fields(line) for line in lines if line and not line.startswith("#")]
        if rows:
            found.append(TextList(file, rows))
    return found


def _fields(line: str) -> list[str]:
    mark = next((mark for mark in "\t;," if mark in line), " ")
    return [field.strip() for field in line.split(mark) if field.strip()]


def of_pairs(tree: Tree, lists: list[TextList]) -> FolderLayout | None:
    """Lists of an image and its label map per line; None where there are none."""
    places: dict[str, SplitPlace] = {}
    used = []
    for one in lists:
        base, pairs = _pairs(tree, one)
        if len(pairs) < max(1, len(one.rows) // 2):
            continue
        name = split_of(one.file.rpartition("/")[2]) or (ONLY if not places else _stem(one.file))
        if name not in places:
            as_is = base == "" and len(pairs) == len(one.rows) and not one.file.lower().endswith(".csv")
            places[name] = SplitPlace(tuple(pairs), {"list": one.file} if as_is else None)
            used.append(one.file)
    if not places:
        return None
    if len(places) == 1:
        places = {ONLY: next(iter(places.values()))}
    return FolderLayout(f"pairs listed in {', '.join(used)}", "maps", places)


def _pairs(tree: Tree, one: TextList) -> tuple[str, list[Pair]]:
    """The pairs of a list, relative to the root, or else to the list's own folder."""
    for base in ("", one.file.rpartition("/")[0]):
        pairs = []
        for row in one.rows:
            paths = [_path(base, field) for field in row]
            if len(paths) >= 2 and paths[0] in tree.present and paths[1] in tree.present:
                pairs.append((paths[0], paths[1]))
        if pairs or base == one.file.rpartition("/")[0]:
            return base, pairs
    return "", []


def _path(base: str, field: str) -> str:
    path = Path(base, field.lstrip("/")) if base else Path(field.lstrip("/"))
    return Path(os.path.normpath(path)).as_posix()


def of_images(lists: list[TextList], stems: dict[str, Pair]) -> dict[str, tuple[str, list[Pair]]]:
    """Lists of the images of a split, by the split's name: the file, and its pairs.

    Parameters
    ----------
    stems
        The pairs that there are, by the stem of the image.
    """
    found: dict[str, tuple[str, list[Pair]]] = {}
    for one in sorted(lists, key=lambda one: ("segmentation" not in one.file.lower(), one.file)):
        split = split_of(one.file.rpartition("/")[2])
        if split is None or split in found:
            continue
        names = [_stem(row[0]) for row in one.rows]
        pairs = [stems[name] for name in names if name in stems]
        if pairs and len(pairs) >= len(names) // 2:
            found[split] = (one.file, pairs)
    return found


def _stem(name: str) -> str:
    base = name.rpartition("/")[2]
    stem, ending = os.path.splitext(base)
    return stem if ending.lower() in (*ENDINGS, ".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp") else base
