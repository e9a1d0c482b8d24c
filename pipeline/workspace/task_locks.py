"""Which run's tasks may write to a folder, wherever they are: a token, read under a lock that tasks share.

A command holds the lock of the folder that it writes to (`disk.lock`). Its tasks in other processes may
outlive it: it was killed, or lost the connection to them. So each of them holds a shared lock on a file in
that folder while it is at work, and the file says which run's tasks may begin. Who comes next waits until
nobody holds it any more: two runs never write at the same time, nor does a task once its command has ended.

Where a file system has no locks that hold across machines, and in a bucket, the token alone remains: tasks
look at it between images, and give up once it is another's.
"""

from __future__ import annotations

import errno
import importlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError, BusyError
from pipeline.screen import say
from pipeline.storage import StoredPath
from pipeline.workspace import disk

try:
    fcntl: Any = importlib.import_module("fcntl")
except ImportError:  # Windows, where processes end with the command that started them
    fcntl = None

NAME = ".tasks"

PATIENCE = 30.0
"""Seconds that a run waits for the tasks of an earlier one, and for its own as it ends."""

POLL = 0.05

ASKED = 30.0
"""Seconds between two requests of a task to a bucket for the token."""

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)


class Ended(Exception):
    """The run that a task belongs to may not write to the folder any more, or it cannot be seen from here."""


@contextmanager
def leading(folder: Path, run: str) -> Iterator[None]:
    """Let the tasks of a run write to a folder; in the end, wait until none is at work.

    Parameters
    ----------
    folder
        Whose lock this process holds.

    Raises
    ------
    BusyError
        Tasks of an earlier run are still at work.
    """
    path = folder / NAME
    if isinstance(path, StoredPath):
        with _leading_in_bucket(path, run):
            yield
        return
    with disk.writing(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    try:
        _wait(handle, folder)
        _write(handle, run)
    finally:
        os.close(handle)  # which lets the tasks begin
    try:
        yield
    finally:
        _end(folder)


@contextmanager
def _leading_in_bucket(path: StoredPath, run: str) -> Iterator[None]:
    with disk.writing(path):
        path.write_bytes(run.encode())
    try:
        yield
    finally:
        with suppress(OSError, AdaprepError):
            path.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Wait for tasks that an earlier run left at work in a folder. Raises BusyError where they do not end."""
    if isinstance(folder, StoredPath):
        with disk.writing(folder):
            (folder / NAME).unlink(missing_ok=True)
        return
    try:
        handle = os.open(folder / NAME, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return
    try:
        _wait(handle, folder)
        _write(handle, "")
        (folder / NAME).unlink(missing_ok=True)
    finally:
        os.close(handle)


def _end(folder: Path) -> None:
    """Take the token away, which ends tasks at their next image, and wait until they have."""
    with suppress(OSError):
        handle = os.open(folder / NAME, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        try:
            _write(handle, "")
            _wait(handle, folder)
            (folder / NAME).unlink(missing_ok=True)
        except BusyError as error:
            say(f"{error.what}; the next run waits for them", err=True)
        finally:
            os.close(handle)


def _write(handle: int, run: str) -> None:
    os.ftruncate(handle, 0)
    os.pwrite(handle, run.encode(), 0)
    os.fsync(handle)


def _wait(handle: int, folder: Path) -> None:
    """Lock an open file for this process alone."""
    begun, silent = time.monotonic(), True
    while not _locked(handle, shared=False):
        waited = time.monotonic() - begun
        if waited > PATIENCE:
            raise BusyError(
                f"tasks of an earlier run are still at work in {folder}",
                "Wait until its workers have ended, or stop them.",
            )
        if silent and waited > 1:
            silent = False
            say(f"waiting for tasks that are still at work in {folder}", err=True)
        time.sleep(POLL)


def _text(handle: int) -> bytes:
    """What an open file says, from its beginning."""
    os.lseek(handle, 0, os.SEEK_SET)
    return os.read(handle, 100)


def _locked(handle: int, shared: bool) -> bool:
    """Try to lock an open file; True where files cannot be locked."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _UNSUPPORTED
    return True


@contextmanager
def taking_part(folder: Path, run: str) -> Iterator[Callable[[], bool]]:
    """Work for a run in a folder; yields what tells whether its tasks may still write there.

    Raises
    ------
    Ended
        They may not, or the folder is not there.
    """
    if isinstance(folder, StoredPath):
        if not _names(folder / NAME, run):
            raise Ended(f"{folder / NAME} names no run, or another")
        yield _Asking(folder / NAME, run)
        return
    try:
        handle = os.open(folder / NAME, os.O_RDONLY)
    except OSError as error:
        raise Ended(f"{folder / NAME}: {error.strerror}") from error
    try:
        while not _locked(handle, shared=True):
            time.sleep(POLL)
        if _text(handle) != run.encode():
            raise Ended(f"{folder / NAME} names another run")
        yield lambda: _names(folder / NAME, run)
    finally:
        os.close(handle)


class _Asking:
    """Tells whether a token in a bucket is still a run's, by few requests."""

    def __init__(self, path: Path, run: str) -> None:
        self.path, self.run, self.asked = path, run, time.monotonic()

    def __call__(self) -> bool:
        if time.monotonic() - self.asked < ASKED:
            return True
        self.asked = time.monotonic()
        return _names(self.path, self.run)


def _names(path: Path, run: str) -> bool:
    try:
        return path.read_bytes() == run.encode()
    except FileNotFoundError:
        return False
    except OSError:  # of a network, which passes
        return True
