"""What formats of shapes have in common: objects painted one over the other onto a map of ids."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.drawing import Placed, crosses_itself, paint
from pipeline.datasets.formats.base import LabelFormat, Raw
from pipeline.datasets.limits import listed, short
from pipeline.datasets.yaml_nodes import did_you_mean
from pipeline.errors import FileError
from pipeline.names import printable

SIZE_MARK = b"\n\0adaprep size "
"""Between a file's bytes and the size of the image that its shapes lie in."""

MOST_COMPARED = 1000
"""Corners of a ring whose edges are compared with each other."""


class Shape(NamedTuple):
    """One object."""

    id: int  # of its class
    number: int  # from 1; of the object, which may have several shapes
    where: Placed
    outlines: tuple[NDArray[np.float64], ...] = ()  # (n, 2) corners of its polygons


class ShapeFormat(LabelFormat):
    """Objects in a file per image; later ones lie over earlier ones."""

    @abstractmethod
    def shapes(self, data: bytes, frame: Frame) -> tuple[tuple[int, int], Iterator[Shape]]:
        """(H, W) of the image and its objects, each drawn when it is asked for. Raises FileError."""

    def settings(self) -> dict[str, Any]:
        return {"background": self.meaning.background}

    def decode(self, data: bytes, frame: Frame) -> Raw:
        size, shapes = self.shapes(data, frame)
        ids = self.meaning.blank(size)
        for shape in shapes:
            paint(ids, shape.where, shape.id)
        return ids

    def size(self, frame: Frame) -> tuple[int, int]:
        return self.shapes(self.read(frame), frame)[0]

    def instances(self, frame: Frame) -> NDArray[np.int32]:
        """(H, W) number of the object that was drawn last; 0 for none. Raises FileError."""
        size, shapes = self.shapes(self.read(frame), frame)
        numbers = np.zeros(size, np.int32)
        for shape in shapes:
            paint(numbers, shape.where, shape.number if shape.id != self.meaning.void else 0)
        return numbers

    def doubts(self, frame: Frame) -> list[str]:
        found = []
        for shape in self.shapes(self.read(frame), frame)[1]:
            if not shape.where[2].any():
                found.append(f"object {shape.number} covers no pixel of the image")
            elif any(len(ring) <= MOST_COMPARED and crosses_itself(ring) for ring in shape.outlines):
                found.append(f"object {shape.number} crosses itself: what it goes around twice is left out")
        return [printable(f"{frame.label}: {doubt}") for doubt in found]

    def id_of(self, label: Any) -> int:
        """The id of a label. Raises ValueError where no class has it."""
        names = self.meaning.names
        if not isinstance(label, str) or label.strip() not in names:
            hint = did_you_mean(label, tuple(names)) if isinstance(label, str) else "."
            raise ValueError(f"no class {short(label)}{hint} The classes are: {listed(names)}")
        return names[label.strip()]


def check_size(size: tuple[int, int], frame: Frame) -> tuple[int, int]:
    """The (H, W) that an annotation claims, once the image, where it is there, has it by its header.

    Raises
    ------
    FileError
        The image has another size, as it is stored and as it is shown.
    """
    from pipeline.datasets import readers

    try:
        sizes = {readers.image_size(frame.image), readers.shown_size(frame.image)}
    except FileError:  # told where the image is read
        return size
    if size in sizes:
        return size
    height, width = sorted(sizes)[0]
    raise FileError(
        printable(
            f"{frame.label}: is for an image of {size[1]} x {size[0]}, and {frame.image.name} is "
            f"{width} x {height}: they must have the same size"
        )
    )


def with_size(data: bytes, frame: Frame, stored: bool) -> bytes:
    """The bytes of a label file and the image's size, which the map depends on too. Raises FileError."""
    from pipeline.datasets import readers

    try:
        height, width = readers.image_size(frame.image) if stored else readers.shown_size(frame.image)
    except FileError as error:
        problem = f"the size of the map is that of its image, and that cannot be read: {error}"
        raise FileError(f"{frame.label}: {problem}") from error
    return data + SIZE_MARK + f"{height} {width}".encode()


def without_size(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """What `with_size` put together."""
    content, _, size = data.rpartition(SIZE_MARK)
    height, width = map(int, size.split())
    return content, (height, width)


def fail(frame: Frame, what: str, error: ValueError) -> NoReturn:
    """Raise the FileError about one object of a label file."""
    raise FileError(printable(f"{frame.label}: {what}: {error}")) from error
