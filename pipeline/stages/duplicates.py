"""Images of one split that stand in another too: the same file, or a picture that looks the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import pictures, readers
from pipeline.datasets.files import open_file, read_bytes
from pipeline.errors import FileError
from pipeline.units import several

T = TypeVar("T")

SIDE = 16
"""Pixels along a side of the small gray picture by which images are compared."""

ALIKE = 2.0
"""Root mean square of the differences of two small pictures, of 255 grays, up to which they look the same:
saved again, scaled, or filmed within a fraction of a second."""

MAX_IMAGES = 20_000
"""Of all splits together, that are looked at for pictures which look the same."""

PIECE = 2**20
LUMA = np.array([0.299, 0.587, 0.114])
"""Shares of red, green and blue in the gray of a JPEG."""
ROWS = 512

DIGEST = 16
"""Bytes of the hash by which files are compared."""

UNKNOWN, KNOWN, UNREADABLE = 0, 1, 2
"""What is known of a file's hash."""


@dataclass
class Found:
    """How many images of a split are like one of another, and the first pair."""

    count: int = 0
    first: tuple[Path, Path] | None = None

    def add(self, image: Path, other: Path) -> None:
        self.count += 1
        self.first = self.first or (image, other)


def small_picture(path: Path) -> NDArray[np.uint8] | None:
    """(SIDE, SIDE) gray means of the stored pixels; None where the image cannot be read."""
    try:
        data = read_bytes(path)
        if pictures.sniff(data[: pictures.HEAD_BYTES]) == "JPEG":
            with pictures.opened(data, "JPEG", path) as image:
                image.draft("L", (8 * SIDE, 8 * SIDE))
                return _reduced(np.asarray(image.convert("L")))
        return _reduced(readers.decode_rgb(data, path, scale=(0, 65535)) @ LUMA)
    except FileError:  # told where the file itself is checked
        return None


def _reduced(gray: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.uint8]:
    """Means of cells, of as equal size as whole pixels allow."""
    rows, cols = (np.linspace(0, n, SIDE + 1).astype(int) for n in gray.shape)
    sums = np.zeros((gray.shape[0] + 1, gray.shape[1] + 1))
    sums[1:, 1:] = np.cumsum(np.cumsum(gray, axis=0, dtype=np.float64), axis=1)
    corners = sums[np.ix_(rows, cols)]
    areas = np.maximum(np.diff(rows)[:, None] * np.diff(cols), 1)
    means = np.diff(np.diff(corners, axis=0), axis=1) / areas
    return np.asarray(np.rint(means), np.uint8)


def same_files(images: Iterable[Path], others: Sequence[Path]) -> Iterator[tuple[int, int]]:
    """Places of the images whose bytes are those of one of the others, each with the place of the first.

    A few numbers are in memory for each of the others.
    """
    sizes = np.fromiter(map(_bytes_of, others), np.int64, len(others))
    order = np.argsort(sizes, kind="stable")
    ordered = sizes[order]
    digests = np.zeros((len(others), DIGEST), np.uint8)
    known = np.zeros(len(others), np.uint8)
    for place, image in enumerate(images):
        if (size := _bytes_of(image)) <= 0:
            continue
        candidates = order[np.searchsorted(ordered, size) : np.searchsorted(ordered, size, "right")]
        mine = _digest(image) if len(candidates) else None
        if mine is None:
            continue
        for other in candidates[known[candidates] == UNKNOWN]:
            digest = _digest(others[int(other)])
            known[other] = UNREADABLE if digest is None else KNOWN
            digests[other] = 0 if digest is None else digest
        same = candidates[(known[candidates] == KNOWN) & (digests[candidates] == mine).all(axis=1)]
        if len(same):
            yield place, int(same[0])


def look_alikes(
    images: Mapping[T, NDArray[np.uint8]], others: Mapping[T, NDArray[np.uint8]]
) -> list[tuple[T, T]]:
    """Images whose small picture is within `ALIKE` of that of one of the others, each with the nearest."""
    if not images or not others:
        return []
    names, there = list(images), list(others)
    theirs = np.stack([others[name].ravel() for name in there]).astype(np.float32)
    squares = (theirs**2).sum(axis=1)
    found = []
    for start in range(0, len(names), ROWS):
        mine = np.stack([images[name].ravel() for name in names[start : start + ROWS]]).astype(np.float32)
        distances = (mine**2).sum(axis=1)[:, None] + squares - 2 * mine @ theirs.T
        nearest = distances.argmin(axis=1)
        near = distances[np.arange(len(mine)), nearest] <= SIDE**2 * ALIKE**2
        found += [(names[start + i], there[nearest[i]]) for i in np.flatnonzero(near).tolist()]
    return found


def sentences(split: str, trained: str, same: Found, alike: Found, count: int) -> list[str]:
    """What to say of a split of `count` images some of which stand in the one that is trained on."""
    kinds = (
        (same, "is the same file as an image of", "are the same files as images of"),
        (alike, "looks the same as an image of", "look the same as images of"),
    )
    return [
        f"{found.count} of {several(count, 'image')} of {split} "
        f"{one if found.count == 1 else many} {trained}, "
        f"such as {found.first[0]} and {found.first[1]}: figures on them say little about other images"
        for found, one, many in kinds
        if found.first
    ]


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(path: Path) -> NDArray[np.uint8] | None:
    """(DIGEST,) hash of a file's content; None where it cannot be read."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    try:
        with open_file(path) as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except (FileError, OSError):
        return None
    return np.frombuffer(digest.digest(), np.uint8)
