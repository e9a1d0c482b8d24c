"""Whether label files are still what was read: their content decides, stamps only save reading it again.

A stamp is what the file system says of a file: size, times of change, inode. Tools set the time of
modification at will (`cp -p`, `rsync -a`, `tar`), but not that of the inode's change. A file whose stamp is
the very one under which its fingerprint was taken has not changed; any other is read and fingerprinted again.
Stamps lie beside the stores, in the workspace's `.spare`; without them everything is read again.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FileError
from pipeline.stages.frame import source_of
from pipeline.workspace import disk, stores

Stamps = NDArray[np.uint64]
"""(N, 5): fingerprint (size, hash), time of modification and of change, inode. Zeros: none is known."""

COLUMNS = 5
FINE, COARSE = 10**8, 21 * 10**8
"""Nanoseconds that a file must have been left alone for, since clocks of file systems tick: seldom, where
their times are whole seconds."""


def stamp(path: Path) -> NDArray[np.uint64] | None:
    """(3,) what the file system says of a file; None: too fresh for its next change to show, or not there."""
    try:
        about = os.stat(path)
    except (OSError, ValueError):
        return None
    tick = FINE if about.st_ctime_ns % 10**9 else COARSE
    if time.time_ns() - about.st_ctime_ns < tick or min(about.st_mtime_ns, about.st_ctime_ns) < 0:
        return None
    return np.array([about.st_mtime_ns, about.st_ctime_ns, about.st_ino], np.uint64)


def with_source(
    before: NDArray[np.uint64] | None, path: Path, source: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """(5,) the stamp of a file that was read since `before` and gave this fingerprint."""
    after = stamp(path)
    if before is None or after is None or (before != after).any():
        return np.zeros(COLUMNS, np.uint64)
    return np.concatenate([source, before])


def load(folder: stores.SplitFolder, count: int) -> Stamps:
    """The stamps kept for the first `count` images of a split; zeros where there are none."""
    found = np.zeros((count, COLUMNS), np.uint64)
    try:
        with warnings.catch_warnings(action="ignore"):
            kept = np.load(folder.stamps, allow_pickle=False, mmap_mode="r")
        if kept.dtype == found.dtype and kept.ndim == 2 and kept.shape[1] == COLUMNS:
            rows = min(count, len(kept))
            found[:rows] = kept[:rows]
    except Exception:  # whatever is wrong with it, it is not needed
        found[:] = 0
    return found


def save(folder: stores.SplitFolder, stamps: Stamps) -> None:
    """Keep stamps, whole or not at all. Raises AdaprepError when the disk refuses."""
    with disk.writing(folder.stamps), disk.replacing(folder.stamps) as partial:
        with partial.open("wb") as file:
            np.save(file, stamps)


def changed(
    store: stores.Store, labels: Sequence[Path], stamps: Stamps, threads: int = 4
) -> NDArray[np.bool_]:
    """(n,) done images whose label file is not what was read; `stamps` are brought up to date.

    Files that cannot be read count as unchanged: what was made of them stays valid.
    """
    count = min(len(labels), store.count)
    known, done = store["source"][:count], store.status()[:count] == stores.DONE
    result = np.zeros(count, bool)
    unsure = []
    for i in np.flatnonzero(done).tolist():
        now = stamp(labels[i])
        if now is None or (np.concatenate([known[i], now]) != stamps[i]).any():
            unsure.append(i)
    with ThreadPoolExecutor(threads) as pool:
        for i, row, source in pool.map(lambda i: (i, *_read(labels[i])), unsure):
            stamps[i] = row
            result[i] = source is not None and bool((source != known[i]).any())
    return result


def _read(path: Path) -> tuple[NDArray[np.uint64], NDArray[np.uint64] | None]:
    before = stamp(path)
    try:
        source = source_of(path)
    except (FileError, ValueError):
        return np.zeros(COLUMNS, np.uint64), None
    return with_source(before, path, source), source
