"""What a sample of label maps holds: ids or colours, how much of each, in how many files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import readers
from pipeline.errors import FileError

MAX_COLORS = 256
"""Colours of one label map beyond which it is a photo, or its edges are smoothed."""

MAX_IDS = 250
"""Ids beyond which label maps number objects or measure something."""

SMOOTHED = 8
"""Values between 0 and 255 from which on a gray map may be a mask with smoothed edges."""

Color = tuple[int, int, int]


@dataclass
class Seen:
    """Sums over a sample of label maps."""

    files: int = 0  # looked into
    of: int = 0  # there are
    ids: Counter[int] = field(default_factory=Counter)  # pixels
    in_files: Counter[Any] = field(default_factory=Counter)  # files, by id or by colour
    colors: Counter[Color] = field(default_factory=Counter)  # pixels
    gray: Counter[Color] = field(default_factory=Counter)  # pixels of RGB pictures with R = G = B
    problems: list[str] = field(default_factory=list)
    photos: list[str] = field(default_factory=list)  # files of more colours than a label map has

    @property
    def kind(self) -> str:
        """What the YAML file calls these label maps."""
        if self.colors:
            return "colors"
        return "masks" if self.is_soft else "ids"

    @property
    def is_soft(self) -> bool:
        """Whether these are masks of 0 and 255 with smoothed edges: class ids leave the bright end free."""
        between = self.ids.keys() - {0, 255}
        bright = sum(number > 127 for number in between)
        commonest = {number for number, _ in self.ids.most_common(2)}
        return commonest == {0, 255} and len(between) > SMOOTHED and bright > len(between) / 4

    @property
    def is_binary(self) -> bool:
        """Whether nothing occurs but 0 and 255."""
        return 255 in self.ids and self.ids.keys() <= {0, 255}

    @property
    def counts(self) -> Counter[Any]:
        """Pixels by what stands for a class: id or colour."""
        return self.colors + self.gray if self.colors else self.ids

    def sample(self) -> str:
        """How many were looked into of how many."""
        every = self.files == self.of > 1
        return f"all of {self.of} label maps" if every else f"{self.files} of {self.of} label maps"


def look(files: list[Path], sample: int) -> Seen:
    """Read label maps, evenly spread where there are more than `sample`; bad ones are noted."""
    seen = Seen(of=len(files))
    step = max(1.0, len(files) / sample)
    for number in range(min(len(files), sample)):
        path = files[int(number * step)]
        seen.files += 1
        try:
            _add(seen, path)
        except FileError as error:
            seen.problems.append(str(error))
    return seen


def _add(seen: Seen, path: Path) -> None:
    try:
        ids: NDArray[Any] = readers.read_ids(path)
    except FileError as error:
        if " picture" not in str(error):  # it is no map of ids, in so many words
            raise
        _add_colors(seen, readers.read_rgb(path), path)
        return
    if path.suffix.lower() != ".npy" and readers.picture_mode(path).startswith("RGB"):
        seen.gray.update(levels := _gray_levels(ids))
        seen.in_files.update(levels.keys())
    values, counts = np.unique(ids, return_counts=True)
    seen.ids.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    seen.in_files.update(values.tolist())


def _gray_levels(ids: NDArray[Any]) -> Counter[Color]:
    """Pixels of each gray as a colour."""
    levels, counts = np.unique(ids, return_counts=True)
    return Counter({(v, v, v): n for v, n in zip(levels.tolist(), counts.tolist(), strict=True)})


def _add_colors(seen: Seen, picture: NDArray[np.uint8], path: Path) -> None:
    packed = picture.astype(np.uint32) @ np.array([65536, 256, 1], np.uint32)
    values, counts = np.unique(packed, return_counts=True)
    if len(values) > MAX_COLORS:
        seen.photos.append(str(path))
        return
    colors = [(v >> 16, v >> 8 & 255, v & 255) for v in values.tolist()]
    seen.colors.update(dict(zip(colors, counts.tolist(), strict=True)))
    seen.in_files.update(colors)


def looks_like_labels(path: Path) -> bool:
    """Whether a picture has so few values, in so large areas, that it may be a label map."""
    if os.path.splitext(path)[1].lower() in (".jpg", ".jpeg", ".webp", ".avif", ".gif"):
        return False
    seen = Seen()
    try:
        _add(seen, path)
    except FileError:
        return False
    return 0 < len(seen.counts) <= MAX_COLORS // 4


def is_mask(path: Path) -> bool:
    """Whether a picture says yes or no of each pixel: it holds 0, another value, or both."""
    seen = Seen()
    try:
        _add(seen, path)
    except FileError:
        return False
    return bool(seen.ids) and len(seen.ids.keys() - {0}) < 2
