"""Whether label files are still what was read: their content decides, stamps only save reading it again.

A stamp is what the file system says of a file: size, times of change, inode. Tools set the time of
modification at will (`cp -p`, `rsync -a`, `tar`), but not that of the inode's change. A file whose stamp is
the very one under which its fingerprint was taken has not changed; any other is read and fingerprinted again.
Stamps lie beside the stores, in the workspace's `.spare`; without them everything is read again.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import FileError
from pipeline.stages.frame import source_of
from pipeline.stages.frame_list import FrameList
from pipeline.storage import StoredPath, is_address, listed_versions, reading
from pipeline.storage.archives import may_lead_into
from pipeline.workspace import disk, stores

Stamps = NDArray[np.uint64]
"""(N, 5): fingerprint (size, hash), time of modification and of change, inode. Zeros: none is known."""

COLUMNS = 5
ROW = 8 * COLUMNS
UNKNOWN = (0, 0, 0)
PORTION = 2**16
"""Images that are looked at, and whose stamps are in memory, at once."""

FINE, COARSE = 10**8, 21 * 10**8
"""Nanoseconds that a file must have been left alone for, since clocks of file systems tick: seldom, where
their times are whole seconds."""


def stamp(*paths: Path) -> NDArray[np.uint64] | None:
    """(3,) what the file system says of a label map's files; None: a next change might not show in it.

    Files may be absent where others are there. None: one is too fresh, or none is there.
    """
    every = [_stamp(path) for path in paths]
    if len(every) == 1 or None in every or not any(every):
        return np.array(every[0], np.uint64) if len(every) == 1 and every[0] else None
    digest = hashlib.blake2b(repr(every).encode(), digest_size=24).digest()
    return np.frombuffer(digest, np.uint64).copy()


def _stamp(path: Path | str) -> tuple[int, ...] | None:
    """Times and inode of a file; empty where it is absent, None where they may not tell its next change."""
    if isinstance(path, StoredPath) and (version := _version(path)) is not None:
        return version
    try:
        about = os.stat(path)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError):
        return None
    tick = FINE if about.st_ctime_ns % 10**9 else COARSE
    if time.time_ns() - about.st_ctime_ns < tick or min(about.st_mtime_ns, about.st_ctime_ns) < 0:
        return None
    return about.st_mtime_ns, about.st_ctime_ns, about.st_ino


def _version(path: StoredPath) -> tuple[int, ...] | None:
    """Of a file in an object store or an archive, by ETag or sum: no clock has a say."""
    try:
        return path.version()
    except OSError:
        return ()


def with_source(
    before: NDArray[np.uint64] | None, paths: Sequence[Path], source: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """(5,) the stamp of files that were read since `before` and gave this fingerprint."""
    after = stamp(*paths)
    if before is None or after is None or (before != after).any():
        return np.zeros(COLUMNS, np.uint64)
    return np.concatenate([source, before])


class KeptStamps:
    """The stamps of a split in their file, read and written in parts.

    Rows that are not there, or cannot be read, are zeros: whatever is wrong with the file, it is not needed.
    An object store takes files whole: there they are in memory, and written by `close`.
    """

    def __init__(self, folder: stores.SplitFolder) -> None:
        self.path = folder.stamps
        self.whole: Stamps | None = _of_store(self.path) if is_address(self.path) else None
        self.rows, self.begin = self._measured()

    def _measured(self) -> tuple[int, int]:
        """How many rows the file has, and where they begin."""
        if self.whole is not None:
            return len(self.whole), 0
        if self.path.is_symlink():  # what it leads to is not ours to write into
            return 0, 0
        with suppress(Exception), warnings.catch_warnings(action="ignore"):
            kept = np.load(self.path, allow_pickle=False, mmap_mode="r")
            if _are_stamps(kept):
                return len(kept), int(kept.offset)
        return 0, 0

    def read(self, start: int, stop: int) -> Stamps:
        """(stop - start, 5) the rows of some images."""
        found = np.zeros((stop - start, COLUMNS), np.uint64)
        if self.whole is not None:
            part = self.whole[start:stop]
            found[: len(part)] = part
            return found
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(self.begin + start * ROW)
            content = file.read(max(min(stop, self.rows) - start, 0) * ROW)
            kept = np.frombuffer(content, np.uint64, len(content) // ROW * COLUMNS)
            found[: len(kept) // COLUMNS] = kept.reshape(-1, COLUMNS)
        return found

    def make_room(self, count: int) -> None:
        """Let the file have so many rows. Raises AdaprepError when the disk refuses."""
        if self.rows >= count:
            return
        if self.whole is not None:
            self.whole = self.read(0, count)
        else:
            self._lengthen(count)
        self.rows, self.begin = self._measured()

    def _lengthen(self, count: int) -> None:
        with disk.writing(self.path), disk.replacing(self.path) as partial:
            rows = np.lib.format.open_memmap(partial, "w+", np.dtype(np.uint64), (count, COLUMNS))
            for start in range(0, self.rows, PORTION):
                stop = min(start + PORTION, self.rows)
                rows[start:stop] = self.read(start, stop)
            rows.flush()
            del rows

    def write(self, start: int, rows: Stamps) -> None:
        """Write the rows of some images that there is room for. Raises AdaprepError when the disk refuses."""
        if self.whole is not None:
            self.whole[start : start + len(rows)] = rows
            return
        with disk.writing(self.path), self.path.open("r+b") as file:
            file.seek(self.begin + start * ROW)
            file.write(np.ascontiguousarray(rows).tobytes())

    def close(self) -> None:
        """Write what is in memory. Raises AdaprepError when the store refuses."""
        if self.whole is not None:
            content = io.BytesIO()
            np.save(content, self.whole)
            with disk.writing(self.path):
                self.path.write_bytes(content.getvalue())


def _are_stamps(kept: NDArray[Any]) -> bool:
    return kept.dtype == np.uint64 and kept.ndim == 2 and kept.shape[1] == COLUMNS


def _of_store(path: Path) -> Stamps:
    """The rows of a file in an object store; none where it cannot be read."""
    with suppress(Exception):
        kept = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
        if _are_stamps(kept):
            return np.array(kept)
    return np.zeros((0, COLUMNS), np.uint64)


def changed(
    store: stores.Store, dataset: Dataset, frames: Sequence[Frame], kept: KeptStamps, threads: int = 4
) -> tuple[NDArray[np.bool_], list[tuple[int, Stamps]]]:
    """(n,) done images whose label files are not what was read; and stamps of files that were read again.

    Files that cannot be read count as unchanged: what was made of them stays valid.
    """
    count = min(len(frames), store.count)
    done = store.status()[:count] == stores.DONE
    result, fresh = np.zeros(count, bool), []
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, count, PORTION):
            stop = min(start + PORTION, count)
            if not done[start:stop].any():
                continue
            known, rows = store["source"][start:stop], kept.read(start, stop)
            now = stamps_of(dataset, frames[start:stop])
            same = (np.concatenate([known, now], axis=1) == rows).all(axis=1) & now.any(axis=1)
            unsure = np.flatnonzero(done[start:stop] & ~same).tolist()
            some = [frames[start + i] for i in unsure]
            for i, (row, source) in zip(unsure, pool.map(partial(_read, dataset), some), strict=True):
                rows[i] = row
                result[start + i] = source is not None and bool((source != known[i]).any())
            if unsure:
                fresh.append((start, rows))
    return result, fresh


def stamps_of(dataset: Dataset, frames: Sequence[Frame]) -> NDArray[np.uint64]:
    """(n, 3) `stamp` of each label map now; zeros where it gives none."""
    every = _stamps_of_files(dataset.root, frames) if dataset.label_is_one_file() else None
    if every is None:
        files = [dataset.label_files(frame) for frame in frames]
        with listed_versions(path for paths in files for path in paths):  # not asked about one by one
            stamps = [stamp(*paths) for paths in files]
        every = [UNKNOWN if found is None else tuple(found.tolist()) for found in stamps]
    return np.array(every, np.uint64).reshape(-1, len(UNKNOWN))


def _stamps_of_files(root: Path, frames: Sequence[Frame]) -> list[tuple[int, ...]] | None:
    """The stamps of label files on this machine, without a path of each; None where some lie elsewhere."""
    if isinstance(root, StoredPath) or not isinstance(frames, FrameList):
        return None
    labels = [row.label for row in frames.rows()]
    every = "\n".join(labels)
    if ":/" in every or may_lead_into(every):
        return None
    above = str(root) + os.sep
    return [_stamp(text if os.path.isabs(text) else above + text) or UNKNOWN for text in labels]


def _read(dataset: Dataset, frame: Frame) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
    with reading():
        files = dataset.label_files(frame)
        before = stamp(*files)
        try:
            source = source_of(dataset, frame)
        except (FileError, ValueError):
            return np.zeros(COLUMNS, np.uint64), None
        return with_source(before, files, source), source
