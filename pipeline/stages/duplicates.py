"""Images of one split that stand in another too: the same file, or a picture that looks the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import pictures, readers
from pipeline.datasets.files import open_file, read_bytes
from pipeline.errors import FileError

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


@dataclass(frozen=True)
class ImagePair:
    """An image of a split and the one of another that it is like."""

    image: Path
    other: Path
    same_file: bool


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


def same_files(images: Sequence[Path], others: Sequence[Path]) -> list[ImagePair]:
    """Images whose bytes are those of one of the others, each with the first of them."""
    by_size: dict[int, list[Path]] = {}
    for other in others:
        by_size.setdefault(_bytes_of(other), []).append(other)
    digests: dict[Path, bytes | None] = {}
    found = []
    for image in images:
        candidates = by_size.get(_bytes_of(image), [])
        mine = _digest(image, digests) if candidates and _bytes_of(image) > 0 else None
        same = (other for other in candidates if mine and _digest(other, digests) == mine)
        found += [ImagePair(image, other, same_file=True) for other in islice(same, 1)]
    return found


def look_alikes(
    images: Mapping[Path, NDArray[np.uint8]], others: Mapping[Path, NDArray[np.uint8]]
) -> list[ImagePair]:
    """Images whose small picture is within `ALIKE` of that of one of the others, each with the nearest."""
    if not images or not others:
        return []
    names, there = list(images), list(others)
    theirs = np.stack([others[path].ravel() for path in there]).astype(np.float32)
    squares = (theirs**2).sum(axis=1)
    found = []
    for start in range(0, len(names), ROWS):
        mine = np.stack([images[path].ravel() for path in names[start : start + ROWS]]).astype(np.float32)
        distances = (mine**2).sum(axis=1)[:, None] + squares - 2 * mine @ theirs.T
        nearest = distances.argmin(axis=1)
        near = distances[np.arange(len(mine)), nearest] <= SIDE**2 * ALIKE**2
        found += [
            ImagePair(names[start + i], there[nearest[i]], same_file=False)
            for i in np.flatnonzero(near).tolist()
        ]
    return found


def sentences(split: str, trained: str, pairs: Sequence[ImagePair], count: int) -> list[str]:
    """What to say of a split some of whose images stand in the one that is trained on."""
    said = []
    for same, what in ((True, "are the same files as images of"), (False, "look the same as images of")):
        if chosen := [pair for pair in pairs if pair.same_file == same]:
            first = chosen[0]
            said.append(
                f"{len(chosen)} of {count} images of {split} {what} {trained}, such as {first.image} and "
                f"{first.other}: figures on them say little about other images"
            )
    return said


def _bytes_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _digest(path: Path, known: dict[Path, bytes | None]) -> bytes | None:
    if path not in known:
        try:
            digest = hashlib.blake2b(digest_size=16)
            with open_file(path) as file:
                while piece := file.read(PIECE):
                    digest.update(piece)
            known[path] = digest.digest()
        except (FileError, OSError):
            known[path] = None
    return known[path]
