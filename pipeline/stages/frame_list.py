"""The frames of a split as lines of a file, read where they are asked for.

A list may name ten million images. Only where every `STRIDE`-th line begins is in memory, and a task
takes its part of the list along as a place in the file. Lines are those of `inputs.tsv`, with or without the
sizes at their ends.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame, Row
from pipeline.stages.input_list import escape, parse_lines, unescape
from pipeline.storage import as_path, is_address, joined, read_part
from pipeline.workspace import stores

STRIDE = 64
"""Lines between two of which it is known where they begin."""

PORTION = 64 * STRIDE
"""Lines that are read at once where all are read."""


IN_MEMORY = 16 * 2**20
"""Bytes of lines without sizes that are put into no file."""


class Lines:
    """Lines of a file, by number.

    Parameters
    ----------
    file
        Open for reading bytes.
    marks
        Where the lines 0, `STRIDE`, 2 `STRIDE`, ... begin, and where the last ends.
    path
        Of a file that other processes can read, too.
    has_sizes
        Whether lines end in sizes, as those of an `inputs.tsv`.
    """

    def __init__(
        self,
        file: IO[bytes],
        marks: NDArray[np.int64],
        count: int,
        path: Path | None = None,
        has_sizes: bool = False,
    ) -> None:
        self.file, self.marks, self.count, self.path = file, marks, count, path
        self.has_sizes = has_sizes
        self.lock = threading.Lock()

    def read(self, start: int, stop: int) -> list[str]:
        """The lines [start, stop), without what ends them."""
        if start >= stop:
            return []
        first, last = start // STRIDE, -(-stop // STRIDE)
        with self.lock:
            self.file.seek(self.marks[first])
            content = self.file.read(int(self.marks[last] - self.marks[first]))
        lines = content.decode("utf-8").split("\n")
        return [line.removesuffix("\r") for line in lines[start - first * STRIDE : stop - first * STRIDE]]

    def place(self, start: int, stop: int) -> LinePlace | None:
        """Where other processes find the lines [start, stop); None where they do not."""
        if self.path is None:
            return None
        first, last = start // STRIDE, -(-stop // STRIDE)
        begin, end = int(self.marks[first]), int(self.marks[last])
        with self.lock:
            self.file.seek(begin)
            digest = _digest(self.file.read(end - begin))
        return LinePlace(str(self.path), begin, end, start - first * STRIDE, stop - start, digest)


class KeptLines:
    """A few lines in memory."""

    has_sizes = False

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines, self.count = lines, len(lines)

    def read(self, start: int, stop: int) -> Sequence[str]:
        return self.lines[start:stop]

    def place(self, start: int, stop: int) -> None:
        return None


@dataclass(frozen=True)
class LinePlace:
    """Some lines of an `inputs.tsv`, as a task takes them along."""

    path: str
    begin: int  # bytes
    end: int
    skipped: int  # lines between `begin` and the first that is meant
    count: int
    digest: bytes  # of the bytes between


class PlacedLines:
    """Lines of a file that another process has open, read when they are first asked for."""

    has_sizes = True

    def __init__(self, place: LinePlace) -> None:
        self.at, self.count = place, place.count

    @cached_property
    def lines(self) -> list[str]:
        at = self.at
        content = read_part(as_path(at.path), at.begin, at.end)
        if _digest(content) != at.digest:  # a network disk may show the file as it was before
            raise OSError(errno.ESTALE, "is not the list that this run has", at.path)
        lines = content.decode("utf-8").split("\n")[at.skipped : at.skipped + at.count]
        return [line.removesuffix("\r") for line in lines]

    def read(self, start: int, stop: int) -> Sequence[str]:
        return self.lines[start:stop]

    def place(self, start: int, stop: int) -> LinePlace:
        return replace(self.at, skipped=self.at.skipped + start, count=stop - start)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()


@dataclass(frozen=True, eq=False)
class FrameList(Sequence[Frame]):
    """Frames, made of their lines each time they are asked for; slices are lists of the same kind."""

    source: Lines | KeptLines | PlacedLines
    root: Path  # that paths are relative to
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @overload
    def __getitem__(self, index: int) -> Frame: ...
    @overload
    def __getitem__(self, index: slice) -> FrameList: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("a list of frames is cut in whole parts, not in steps")
            return FrameList(self.source, self.root, self.start + start, self.start + max(start, stop))
        place = range(len(self))[index]
        return self._frame(self.source.read(self.start + place, self.start + place + 1)[0])

    def __iter__(self) -> Iterator[Frame]:
        return map(self._frame, self._read())

    def __reduce__(self) -> tuple[Any, ...]:
        place = self.source.place(self.start, self.stop)
        if place is None:
            return _of_lines, ([*self.lines()], self.root)
        return _of_place, (place, self.root)

    def carried(self) -> FrameList:
        """The same, whose lines travel themselves: to where the file that holds them is not seen."""
        if not isinstance(self.source, Lines):
            return self
        source = copy(self.source)
        source.path = None
        return replace(self, source=source)

    def first(self, count: int | None) -> FrameList:
        """The first so many frames; all for None."""
        return self if count is None or count >= len(self) else self[:count]

    def rows(self) -> Iterator[Row]:
        """The frames as texts."""
        return map(row_of, self._read())

    def lines(self) -> Iterator[str]:
        """The lines without sizes: what the fingerprint of a list covers."""
        if self.source.has_sizes:
            return (line.rsplit("\t", 2)[0] for line in self._read())
        return self._read()

    @cached_property
    def sha256(self) -> str:
        """The fingerprint of the list."""
        return stores.digest(self.lines())

    def names(self) -> list[str]:
        """Names of all frames; of few, as there are in a task."""
        return [unescape(line[: line.index("\t")]) for line in self._read()]

    def _read(self) -> Iterator[str]:
        for start in range(self.start, self.stop, PORTION):
            yield from self.source.read(start, min(start + PORTION, self.stop))

    def _frame(self, line: str) -> Frame:
        name, image, label, instance = row_of(line)
        root = self.root
        return Frame(
            name, joined(root, image), joined(root, label), joined(root, instance) if instance else None
        )


def names(frames: Sequence[Frame]) -> list[str]:
    """Names of the frames of a task."""
    return frames.names() if isinstance(frames, FrameList) else [frame.name for frame in frames]


def row_of(line: str) -> Row:
    """Name and paths that a line holds."""
    fields = line.split("\t")[:4]
    return Row(*map(unescape, fields)) if "\\" in line else Row(*fields)


def _of_lines(lines: Sequence[str], root: Path) -> FrameList:
    return FrameList(KeptLines(lines), root, 0, len(lines))


def _of_place(place: LinePlace, root: Path) -> FrameList:
    """A part of a list that another process has open."""
    return FrameList(PlacedLines(place), root, 0, place.count)


def listed(dataset: Dataset, split: str, limit: int | None = None) -> FrameList:
    """List a split. Raises AdaprepError as `Dataset.frames`.

    Parameters
    ----------
    limit
        Only the first so many frames.
    """
    rows = islice(dataset.rows(split), limit)
    return of_lines(("\t".join(map(escape, row)) for row in rows), dataset.root)


def of_frames(frames: Iterable[Frame], root: Path) -> FrameList:
    """A list of frames that somebody has."""
    return of_lines((line_of(frame, root) for frame in frames), root)


def line_of(frame: Frame, root: Path) -> str:
    """The line of a frame, without sizes; paths are relative to `root` where they lie in it."""
    paths = (frame.name, frame.image, frame.label, frame.instance or "")
    above = str(root) + os.sep
    return "\t".join(escape(str(path).removeprefix(above)) for path in paths)


def of_lines(lines: Iterable[str], root: Path) -> FrameList:
    """A list of lines without sizes, put into a file without a name that goes with the list."""
    file: Any = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # open as long as the list is
    marks, count, place = array("q"), 0, 0
    lines = iter(lines)
    while part := list(islice(lines, STRIDE)):
        marks.append(place)
        place += file.write(("\n".join(part) + "\n").encode("utf-8"))
        count += len(part)
    marks.append(place)
    return FrameList(Lines(file, np.array(marks, np.int64), count), root, 0, count)


def opened(path: Path, root: Path) -> tuple[FrameList, NDArray[np.int32]]:
    """The frames and sizes (N, 2) that an `inputs.tsv` names; all of its lines are checked.

    Raises
    ------
    OSError
        It cannot be read.
    ValueError
        Says what is wrong, and in which line.
    """
    stored = is_address(path)
    file: IO[bytes] = io.BytesIO(path.read_bytes()) if stored else open(path, "rb")  # noqa: SIM115
    try:
        sizes, marks = array("i"), array("q")
        place = 0
        for number, (length, _, (height, width)) in enumerate(parse_lines(file)):
            if number == 0:
                place = length  # of the line that names the columns
                continue
            if (number - 1) % STRIDE == 0:
                marks.append(place)
            place += length
            sizes.append(height)
            sizes.append(width)
        marks.append(place)
    except BaseException:
        file.close()
        raise
    count = len(sizes) // 2
    lines = Lines(file, np.array(marks, np.int64), count, path.absolute(), True)
    return FrameList(lines, root, 0, count), np.array(sizes, np.int32).reshape(count, 2)
