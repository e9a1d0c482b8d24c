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
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import FileError
from pipeline.stages.frame import source_of
from pipeline.storage import StoredPath, listed_versions, reading
from pipeline.workspace import disk, stores

Stamps = NDArray[np.uint64]
"""(N, 5): fingerprint (size, hash), time of modification and of change, inode. Zeros: none is known."""

COLUMNS = 5
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


def _stamp(path: Path) -> tuple[int, ...] | None:
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


def load(folder: stores.SplitFolder, count: int) -> Stamps:
    """The stamps kept for the first `count` images of a split; zeros where there are none."""
    found = np.zeros((count, COLUMNS), np.uint64)
    try:
        with warnings.catch_warnings(action="ignore"):
            kept = _kept(folder.stamps)
        if kept.dtype == found.dtype and kept.ndim == 2 and kept.shape[1] == COLUMNS:
            rows = min(count, len(kept))
            found[:rows] = kept[:rows]
    except Exception:  # whatever is wrong with it, it is not needed
        found[:] = 0
    return found


def _kept(path: Path) -> NDArray[Any]:
    """The array in a file; of a disk, only what is looked at is read."""
    if isinstance(path, StoredPath):
        return np.asarray(np.load(io.BytesIO(path.read_bytes()), allow_pickle=False))
    return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))


def save(folder: stores.SplitFolder, stamps: Stamps) -> None:
    """Keep stamps, whole or not at all. Raises AdaprepError when the disk refuses."""
    with disk.writing(folder.stamps), disk.replacing(folder.stamps) as partial:
        with partial.open("wb") as file:
            np.save(file, stamps)


def changed(
    store: stores.Store, dataset: Dataset, frames: Sequence[Frame], stamps: Stamps, threads: int = 4
) -> NDArray[np.bool_]:
    """(n,) done images whose label files are not what was read; `stamps` are brought up to date.

    Files that cannot be read count as unchanged: what was made of them stays valid.
    """
    count = min(len(frames), store.count)
    known, done = store["source"][:count], store.status()[:count] == stores.DONE
    result = np.zeros(count, bool)
    unsure = []
    indices = np.flatnonzero(done).tolist()
    for i, now in zip(indices, _stamps([dataset.label_files(frames[i]) for i in indices]), strict=True):
        if now is None or (np.concatenate([known[i], now]) != stamps[i]).any():
            unsure.append(i)
    with ThreadPoolExecutor(threads) as pool:
        for i, row, source in pool.map(lambda i: (i, *_read(dataset, frames[i])), unsure):
            stamps[i] = row
            result[i] = source is not None and bool((source != known[i]).any())
    return result


def _stamps(every: Sequence[tuple[Path, ...]]) -> Iterator[NDArray[np.uint64] | None]:
    """`stamp` of many label maps; in an object store, folders are listed, not each file asked about."""
    with listed_versions(path for files in every for path in files):
        for files in every:
            yield stamp(*files)


def _read(dataset: Dataset, frame: Frame) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
    with reading():
        files = dataset.label_files(frame)
        before = stamp(*files)
        try:
            source = source_of(dataset, frame)
        except (FileError, ValueError):
            return np.zeros(COLUMNS, np.uint64), None
        return with_source(before, files, source), source
