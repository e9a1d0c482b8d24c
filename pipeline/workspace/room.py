"""How much of a disk a folder takes, and how much is left there."""

from __future__ import annotations

import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.storage import StoredPath, is_address

ENDLESS = 2**62
"""Bytes that are left where nobody counts them."""


@dataclass
class Used:
    """What a folder and all below it hold."""

    files: int = 0
    bytes: int = 0  # of the files' content
    on_disk: int = 0  # bytes of the disk that are taken: whole blocks, and the folders themselves
    newest: float = 0.0  # when a file was last changed, seconds since the epoch


def used(path: Path) -> Used:
    """What a folder holds; what is not there, or cannot be looked at, counts for nothing."""
    if isinstance(path, StoredPath):
        every = list(path.below().values())
        size = sum(about.size for about in every)
        return Used(len(every), size, size, max((about.modified for about in every), default=0.0))
    total = Used()
    with suppress(OSError):
        total.on_disk = _on_disk(os.stat(path))
        waiting = [str(path)]
        while waiting:
            with suppress(NotADirectoryError, FileNotFoundError), os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    about = entry.stat(follow_symlinks=False)
                    total.on_disk += _on_disk(about)
                    if stat.S_ISDIR(about.st_mode):
                        waiting.append(entry.path)
                    else:
                        total.files += 1
                        total.bytes += about.st_size
                        total.newest = max(total.newest, about.st_mtime)
    return total


def _on_disk(about: os.stat_result) -> int:
    """Bytes that a file or folder takes; where the system does not say, those of its content."""
    return int(getattr(about, "st_blocks", -(-about.st_size // 512)) * 512)


def bytes_below(path: Path) -> int:
    """Bytes of all files below a folder."""
    return used(path).bytes


def free_space(path: Path) -> int:
    """Bytes left on the disk that a path, existing or not, lies or would lie on; a store's are endless."""
    if is_address(path):
        return ENDLESS
    there = next(p for p in [path, *path.absolute().parents] if p.exists())
    return shutil.disk_usage(there).free
