"""Masks: a picture per class and image, or one per image, in which 0 means no and all else yes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import readers
from pipeline.datasets.base import Frame
from pipeline.datasets.files import exists, find_keys, read_bytes
from pipeline.datasets.formats.base import LabelFormat, Raw
from pipeline.datasets.pairs import IMAGES, LABELS, Pairing, endings
from pipeline.errors import AdaprepError, FileError
from pipeline.storage import as_path

CLASS = "{class}"
"""Stands in the path of a label map for the names of the classes."""


class Masks(LabelFormat):
    """Later classes of the table lie over earlier ones; a mask that is not there covers nothing.

    The path of a label map holds `{class}`: it stands for a file of each class. Without, it is one map, of
    the first class where it is 0 and of the second elsewhere.
    """

    def settings(self) -> dict[str, Any]:
        return {"background": self.meaning.background}

    def places(self, labels: Path) -> tuple[Path, ...]:
        """The folder above the classes': not every class need have one."""
        parts = labels.parts
        first = next((i for i, part in enumerate(parts) if CLASS in part), len(parts))
        return (as_path(Path(*parts[:first])),)

    def frames(self, folders: Pairing) -> list[Frame]:
        if CLASS not in str(folders.labels) + folders.label_suffix:
            return super().frames(folders)
        found, taken = self._masks(folders)
        pictures = find_keys(folders.images, endings(folders.image_suffix, IMAGES), True)
        pictures = {key: name for key, name in pictures.items() if folders.images / name not in taken}
        usual = next(iter(found.values()), f"{folders.label_suffix}{LABELS[0]}")
        return [
            Frame(
                key,
                folders.images / pictures.get(key, f"{key}{folders.image_suffix}{IMAGES[0]}"),
                folders.labels / f"{key}{found.get(key, usual)}",
            )
            for key in sorted(found.keys() | pictures.keys())
        ]

    def _masks(self, folders: Pairing) -> tuple[dict[str, str], set[Path]]:
        """Endings of label paths by key, and every mask there is."""
        found: dict[str, str] = {}
        taken = set()
        for name in self.meaning.names:
            folder = as_path(str(folders.labels).replace(CLASS, name))
            suffix = folders.label_suffix.replace(CLASS, name)
            for key, path in find_keys(folder, endings(suffix, LABELS), True).items():
                taken.add(folder / path)
                ending = folders.label_suffix + path[len(key) + len(suffix) :]
                if found.setdefault(key, ending) != ending:
                    raise AdaprepError(
                        f"{folder / path}: the masks of one image must have one ending, and others of "
                        f"{key!r} end in {Path(found[key]).suffix}"
                    )
        return found, taken

    def files(self, frame: Frame) -> tuple[Path, ...]:
        pattern = str(frame.label)
        if CLASS not in pattern:
            return (frame.label,)
        return tuple(as_path(pattern.replace(CLASS, name)) for name in self.meaning.names)

    def read(self, frame: Frame) -> bytes:
        """Every mask that is there, each behind its number and length."""
        if CLASS not in str(frame.label):
            return read_bytes(frame.label)
        parts = []
        for number, path in enumerate(self.files(frame)):
            if exists(path):
                data = read_bytes(path)
                parts += [f"{number} {len(data)}\n".encode(), data]
        if not parts:
            raise FileError(f"{frame.label}: no such file, of any class")
        return b"".join(parts)

    def decode(self, data: bytes, frame: Frame) -> Raw:
        numbers = list(self.meaning.names.values())
        if CLASS not in str(frame.label):
            mask = readers.decode_ids(data, frame.label) > 0
            ids = replace(self.meaning, background=numbers[0]).blank(mask.shape)
            ids[mask] = numbers[1]
            return ids
        (number, first, mask), *rest = self._decoded(data, frame)
        ids = self.meaning.blank(mask.shape)
        ids[mask] = numbers[number]
        for number, path, mask in rest:
            if mask.shape != ids.shape:
                raise FileError(
                    f"{path}: the mask is {mask.shape[1]} x {mask.shape[0]}, that of "
                    f"{first} {ids.shape[1]} x {ids.shape[0]}: they must have the same size"
                )
            ids[mask] = numbers[number]
        return ids

    def _decoded(self, data: bytes, frame: Frame) -> Iterator[tuple[int, Path, NDArray[np.bool_]]]:
        """Number of the class, file and mask of each that is there."""
        files, place = self.files(frame), 0
        while place < len(data):
            head, _, _ = data[place : place + 64].partition(b"\n")
            number, length = map(int, head.split())
            start = place + len(head) + 1
            place = start + length
            yield number, files[number], readers.decode_ids(data[start:place], files[number]) > 0

    def size(self, frame: Frame) -> tuple[int, int]:
        if CLASS not in str(frame.label):
            return readers.label_size(frame.label)
        there = next((path for path in self.files(frame) if exists(path)), frame.label)
        return readers.label_size(there)
