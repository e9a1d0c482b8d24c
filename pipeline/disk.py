"""Files that appear whole or not at all, one writer a folder, and sentences for a disk that refuses.

A file under way is called `NAME.something.partial` until it is moved over its name. Zarr does the same with
its chunks. Only a process that is killed leaves one behind; whoever writes there next deletes it.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError, BusyError


@contextmanager
def writing(what: Path | str) -> Iterator[None]:
    """Turn a failing write into a sentence: full disk, quota, no permission.

    Raises
    ------
    AdaprepError
        In place of the OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise AdaprepError(
                f"the disk is full: no space left to write {what}. What was finished before is kept: "
                f"make room (or move the workspace) and run the same command again."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise AdaprepError(
                f"may not write {what}: {error.strerror}. Choose a folder of your own with --workspace."
            ) from error
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the name when the block ends well, else it goes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all. Raises AdaprepError (see `writing`)."""
    with writing(path), replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises AdaprepError with the path when it is damaged or absent."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AdaprepError(f"cannot read {path}: {error}. Run the command that makes it again.") from error
    if not isinstance(content, dict):
        raise AdaprepError(f"{path} is damaged: not a JSON object. Delete it and run its command again.")
    return content


def clear_partial(folder: Path, *names: str) -> None:
    """Delete what a killed writer left half-written of these files (default: of all) right in a folder.

    To be called by the only writer of these files.
    """
    for name in names or ("*",):
        for path in folder.glob(f"{name}.*.partial"):
            if path.is_file():
                path.unlink(missing_ok=True)


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep every other adaprep from writing to a folder meanwhile; it is made if need be.

    Raises
    ------
    BusyError
        Somebody does already: names process, host and since when.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 1000).decode() or "another process"
            raise BusyError(
                f"another adaprep run is writing to {folder} ({holder})",
                "Wait for it, or choose another --workspace.",
            ) from None
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):  # who holds it is for people; the lock itself is held either way
            os.ftruncate(handle, 0)
            os.write(handle, f"process {os.getpid()} on {socket.gethostname()}, since {started}".encode())
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def bytes_below(path: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())


def free_space(path: Path) -> int:
    """Bytes left on the disk that a path, existing or not, lies or would lie on."""
    there = next(p for p in [path, *path.absolute().parents] if p.exists())
    return shutil.disk_usage(there).free
