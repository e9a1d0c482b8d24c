"""YOLO segmentation: a text file per image, a polygon per line, in fractions of width and height."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.drawing import MAX_CORNER, MAX_WORK, Budget, polygon
from pipeline.datasets.files import exists
from pipeline.datasets.formats.shapes import Shape, ShapeFormat, fail, with_size, without_size
from pipeline.datasets.limits import listed, read_limited, short
from pipeline.datasets.pairs import Pairing
from pipeline.errors import FileError
from pipeline.names import printable
from pipeline.storage import lexists

MAX_BYTES = 32 * 2**20
"""Of a file."""

NO_LABELS = frozenset(("classes.txt", "labels.txt", "train.txt", "val.txt", "test.txt", "readme.txt"))
"""Text files that lie beside the labels and are none."""


class Yolo(ShapeFormat):
    """A corner lies in the pixel that it falls into; pixels on the outline belong to the polygon.

    An image without objects has an empty file.
    """

    turns_images = True
    endings: ClassVar[tuple[str, ...]] = (".txt",)

    def frames(self, folders: Pairing) -> list[Frame]:
        return [frame for frame in super().frames(folders) if not self._is_list(frame)]

    def _is_list(self, frame: Frame) -> bool:
        return frame.label.name.lower() in NO_LABELS and not exists(frame.image)

    def files(self, frame: Frame) -> tuple[Path, ...]:
        return (frame.label, frame.image)

    def read(self, frame: Frame) -> bytes:
        if not lexists(frame.label):
            hint = "an image without objects has an empty file"
            raise FileError(printable(f"{frame.label}: no such file; {hint}"))
        return with_size(read_limited(frame.label, MAX_BYTES, may_be_empty=True), frame, self.stored)

    def shapes(self, data: bytes, frame: Frame) -> tuple[tuple[int, int], Iterator[Shape]]:
        content, size = without_size(data)
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            problem = f"not a text in UTF-8 ({error.reason} at byte {error.start})"
            raise FileError(printable(f"{frame.label}: {problem}")) from error
        return size, self._drawn(lines, size, frame)

    def _drawn(self, lines: list[str], size: tuple[int, int], frame: Frame) -> Iterator[Shape]:
        budget = Budget(MAX_WORK)
        number = 0
        for place, line in enumerate(lines, 1):
            if not (words := line.split()):
                continue
            number += 1
            try:
                label = self._id(words[0])
                outline = _corners(words[1:], size)
                where = polygon(np.floor(outline).astype(np.int64), (), size, budget)
            except ValueError as error:
                fail(frame, f"line {place}", error)
            yield Shape(label, number, where, (outline,))

    def _id(self, word: str) -> int:
        number = int(word) if word.isascii() and word.isdecimal() and len(word) < 9 else None
        if number is None or number not in self.meaning.numbers:
            known = listed(sorted(self.meaning.numbers))
            raise ValueError(f"no class has the id {short(word)}; the ids are: {known}")
        return number


def _corners(words: list[str], size: tuple[int, int]) -> NDArray[np.float64]:
    """(n, 2) corners [column, row] in pixels."""
    if len(words) == 4:
        raise ValueError("is a box (4 numbers after the class), not a polygon: labels for detection")
    if len(words) % 2 or len(words) < 6:
        raise ValueError(
            f"a polygon must be three or more pairs x y after the class, found {len(words)} numbers"
        )
    try:
        values = np.array([float(word) for word in words])
    except ValueError:
        bad = next(word for word in words if not _is_number(word))
        raise ValueError(f"{short(bad)} is no number") from None
    points: NDArray[np.float64] = values.reshape(-1, 2) * size[::-1]
    if not (np.abs(points) <= MAX_CORNER).all():
        raise ValueError(
            f"a corner lies more than {MAX_CORNER} pixels outside the image: coordinates must be "
            f"fractions of the width and height, 0 to 1"
        )
    if (np.abs(values) > 2).any():
        largest = values[np.abs(values).argmax()]
        raise ValueError(f"coordinates must be fractions of the width and height, 0 to 1, found {largest:g}")
    return points


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
