"""Lists of the frames that make a split, by their names alone, as VOC and ADE20K have them."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.datasets.base import Frame
from pipeline.datasets.limits import short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.datasets.pairs import IMAGES, LABELS, Pairing
from pipeline.errors import AdaprepError
from pipeline.names import printable

if TYPE_CHECKING:
    from pipeline.datasets.formats.base import LabelFormat


def choose_stems(path: Path, frames: list[Frame], folders: Pairing, labels: LabelFormat) -> list[Frame]:
    """The frames that a list names, sorted by name.

    A line is the name of a frame, with or without folders above it and an extension; what follows after a
    blank is left aside where the whole line names nothing (VOC's lists per class). Empty lines and lines
    that begin with # are skipped. A name that no file has is a frame too: reading it says that it is absent.

    Raises
    ------
    AdaprepError
        The list cannot be read or is empty, or a line names a folder, was there before, or fits several.
    """
    by_name = {frame.name: frame for frame in frames}
    by_end: dict[str, list[str]] = {}
    for name in by_name:
        by_end.setdefault(PurePosixPath(name).name, []).append(name)
    chosen: dict[str, int] = {}
    found = []
    for number, line in read_lines(path):
        if line.lstrip(" \t").startswith("#"):
            continue
        name = _name(line, by_name, by_end, path, number)
        if name in chosen:
            raise line_error(path, number, f"{short(name)} was listed before, in line {chosen[name]}")
        chosen[name] = number
        found.append(by_name.get(name) or _absent(name, folders, labels))
    if not found:
        raise AdaprepError(printable(f"{path}: the list is empty"))
    return sorted(found, key=lambda frame: frame.name)


def _name(line: str, by_name: dict[str, Frame], by_end: dict[str, list[str]], path: Path, number: int) -> str:
    words = line.replace("\t", " ").split(" ")
    for text in dict.fromkeys((line.strip(" \t"), words[0])):
        stem, ending = os.path.splitext(text)
        plain = stem if ending.lower() in (*IMAGES, *LABELS) else text
        for name in (text, plain):
            if name in by_name:
                return name
        several = [
            name
            for name in by_end.get(PurePosixPath(plain).name, [])
            if f"/{name}".endswith(f"/{plain}") or plain.endswith(f"/{name}")
        ]
        if len(several) == 1:
            return several[0]
        if several:
            fits = f"fits several frames: {', '.join(several[:3])}; give more of its path"
            raise line_error(path, number, f"{short(text)} {fits}")
    if not names_file(words[0]):
        raise line_error(path, number, f"{short(words[0])} is a folder, not the name of a frame")
    return words[0].lstrip("/")


def _absent(name: str, folders: Pairing, labels: LabelFormat) -> Frame:
    label = f"{name}{folders.label_suffix}{labels.endings[0]}"
    image = f"{name}{folders.image_suffix}{IMAGES[0]}"
    return Frame(name, folders.images / image, folders.labels / label)
