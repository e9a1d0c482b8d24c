"""What a label format is, and the plainest one: one file of ids per image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.pairs import LABELS, Pairing, pair_folders

Raw = NDArray[np.uint8] | NDArray[np.uint16]
"""(H, W) raw class ids."""


@dataclass(frozen=True)
class Meaning:
    """What labels of every kind stand for: raw ids of the class table."""

    names: Mapping[str, int] = field(default_factory=dict)  # in the order of the table
    colors: Mapping[tuple[int, int, int], int] = field(default_factory=dict)
    numbers: frozenset[int] = frozenset()
    void: int | None = None  # of what counts for nothing, where the format has such
    background: int | None = None  # of pixels that nothing covers; None: void

    @property
    def uncovered(self) -> int:
        """Of pixels that nothing covers."""
        found = self.void if self.background is None else self.background
        assert found is not None
        return found

    @property
    def dtype(self) -> type[np.uint8] | type[np.uint16]:
        """The smallest that holds every id."""
        every = (*self.names.values(), *self.colors.values(), *self.numbers, self.void or 0)
        return np.uint8 if max(every, default=0) < 256 else np.uint16

    def blank(self, size: tuple[int, int]) -> Raw:
        """(H, W) a map that nothing covers yet."""
        if self.dtype == np.uint8:
            return np.full(size, self.uncovered, np.uint8)
        return np.full(size, self.uncovered, np.uint16)


class LabelFormat:
    """Label maps as ids: gray values or palette indices, or an array.

    Other formats derive from it and replace what differs.
    """

    endings: ClassVar[tuple[str, ...]] = LABELS
    """Of label files, in any case."""

    turns_images: ClassVar[bool] = False
    """Whether the format's own tools turn images by their orientation tag."""

    def __init__(self, meaning: Meaning, stored: bool = False) -> None:
        self.meaning = meaning
        self.stored = stored  # images count as they are stored, whatever their orientation tag says

    def settings(self) -> dict[str, Any]:
        """What shapes label maps beside their files and the class table, as plain data."""
        return {}

    def frames(self, folders: Pairing) -> list[Frame]:
        """The frames of two folders, sorted by name. Raises AdaprepError."""
        return pair_folders(**vars(folders), label_endings=self.endings)

    def places(self, labels: Path) -> tuple[Path, ...]:
        """Folders or files that must exist where `labels` is what the description names."""
        return (labels,)

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """See `Dataset.label_files`."""
        return (frame.label,)

    def read(self, frame: Frame) -> bytes:
        """See `Dataset.label_bytes`."""
        from pipeline.datasets.files import read_bytes

        return read_bytes(frame.label)

    def decode(self, data: bytes, frame: Frame) -> Raw:
        """(H, W) raw ids of what `read` gave. Raises FileError."""
        from pipeline.datasets import readers

        return readers.decode_ids(data, frame.label)

    def strips(self, data: bytes, frame: Frame) -> Iterator[Raw]:
        """See `Dataset.label_strips`."""
        from pipeline.datasets import readers

        if type(self).decode is LabelFormat.decode:
            yield from readers.id_strips(data, frame.label)
        else:
            yield self.decode(data, frame)

    def size(self, frame: Frame) -> tuple[int, int]:
        """(H, W) of the label map, as far as a header says it. Raises FileError."""
        from pipeline.datasets import readers

        return readers.label_size(frame.label)

    def instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) number of the object at each pixel, 0 for none; None where the format has no objects."""
        return None

    def doubts(self, frame: Frame) -> list[str]:
        """See `Dataset.doubts`."""
        return []


class Ids(LabelFormat):
    """One class id per pixel."""
