"""Label maps as pictures, in which each class has a colour."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.formats.base import LabelFormat, Meaning, Raw
from pipeline.datasets.pairs import LABELS
from pipeline.errors import FileError

MAX_NAMED = 5
"""Unknown colours that a message names."""


class Colors(LabelFormat):
    """Every pixel's colour is that of a class. A colour that no class has is refused by name."""

    endings: ClassVar[tuple[str, ...]] = (*LABELS, ".ppm", ".gif")

    def __init__(self, meaning: Meaning, stored: bool = False) -> None:
        super().__init__(meaning, stored)
        rows = sorted((packed(color), value) for color, value in meaning.colors.items())
        self._colors = np.array([color for color, _ in rows], np.uint32)
        self._ids = np.array([value for _, value in rows], meaning.dtype)

    def settings(self) -> dict[str, Any]:
        return {"colors": {f"#{packed(color):06x}": value for color, value in self.meaning.colors.items()}}

    def size(self, frame: Frame) -> tuple[int, int]:
        from pipeline.datasets import readers

        return readers.image_size(frame.label)

    def decode(self, data: bytes, frame: Frame) -> Raw:
        """(H, W) raw ids. Neighbours mostly share a colour, so each run of a colour is looked up once."""
        from pipeline.datasets import readers

        colors = readers.decode_colors(data, frame.label)
        pixels = colors[..., 0].astype(np.uint32).ravel()
        for channel in (1, 2):
            pixels <<= 8
            pixels |= colors[..., channel].ravel()
        starts = np.flatnonzero(np.concatenate([[True], pixels[1:] != pixels[:-1]]))
        found = pixels[starts]
        places = np.searchsorted(self._colors, found).clip(max=len(self._colors) - 1)
        lengths = np.diff(starts, append=pixels.size)
        if (unknown := self._colors[places] != found).any():
            raise _unknown(frame, found[unknown], lengths[unknown])
        ids: Raw = np.repeat(self._ids[places], lengths).reshape(colors.shape[:2])
        return ids


def packed(color: tuple[int, int, int]) -> int:
    """Red, green and blue as one number."""
    return color[0] << 16 | color[1] << 8 | color[2]


def _unknown(frame: Frame, colors: NDArray[np.uint32], pixels: NDArray[np.int64]) -> FileError:
    """Names the colours that cover most."""
    values, inverse = np.unique(colors, return_inverse=True)
    counts = np.bincount(inverse, pixels).astype(np.int64)
    order = np.argsort(-counts, kind="stable")
    named = [f"#{values[i]:06x} ({counts[i]:,} pixels)" for i in order[:MAX_NAMED]]
    rest = len(values) - len(named)
    more = f" and {rest} more" if rest > 0 else ""
    whole = "no colour of the class table" if len(values) > 1 else "not the colour of any class"
    hint = " Its pixels are gray: if they are class ids, leave out labels_are." * _gray(values)
    return FileError(f"{frame.label}: {', '.join(named)}{more}: {whole}.{hint}")


def _gray(values: NDArray[np.uint32]) -> bool:
    return bool(((values >> 16 == values >> 8 & 255) & (values >> 8 & 255 == values & 255)).all())
