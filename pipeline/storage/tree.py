"""What every place of files that is no folder can do: say what is there, list it, give a part of a file."""

from __future__ import annotations

import errno
import io
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

HEAD = 64 * 2**10
"""Bytes that are asked for first: the header of a picture, and all of a small file."""


@dataclass(frozen=True)
class Info:
    """What is known of a file or a folder without its content."""

    size: int = 0
    version: tuple[int, ...] = ()  # three numbers below 2^64: equal ones mean equal content
    modified: float = 0.0  # seconds since 1970
    is_folder: bool = False
    tag: str = ""  # how the store names this version


FOLDER = Info(is_folder=True)


@dataclass(frozen=True)
class Head:
    """The first bytes of a file, and what the store said of the file with them."""

    info: Info
    data: bytes

    @property
    def is_whole(self) -> bool:
        return len(self.data) >= self.info.size


class FileTree(ABC):
    """Files below one root. Keys have slashes, none at the ends; the root is "".

    Errors are OSErrors with the number that the operating system would give, or StorageError where nothing
    of the tree can be used.
    """

    title: str  # how the root is written

    @abstractmethod
    def info(self, key: str) -> Info | None:
        """What is known of a file or folder; None where there is none."""

    def is_folder(self, key: str) -> bool:
        """Whether something lies below a key."""
        about = self.info(key)
        return about is not None and about.is_folder

    def is_file(self, key: str) -> bool:
        """Whether there is a file of that key."""
        about = self.info(key)
        return about is not None and not about.is_folder

    @abstractmethod
    def version(self, key: str) -> tuple[int, ...]:
        """`Info.version` of a file; () where there is none."""

    @abstractmethod
    def entries(self, key: str) -> dict[str, Info]:
        """What lies right in a folder, by name; an absent folder is empty."""

    @abstractmethod
    def walk(self, key: str) -> Iterator[tuple[str, Info]]:
        """Every file below a folder, relative to it, in the order of names."""

    @abstractmethod
    def fetch(self, key: str, start: int, stop: int | None, info: Info | None) -> tuple[Info, bytes]:
        """The bytes [start, stop) of a file, fewer at its end; of the version `info` where that is given."""

    def head(self, key: str, ahead: int = HEAD) -> Head:
        """The first bytes of a file; inside `reading`, those that were read before."""
        kept = getattr(_local, "heads", None)
        name = (self.title, key)
        if kept is not None and name in kept:
            found = kept[name]
            if isinstance(found, OSError):
                raise found
            return found  # type: ignore[no-any-return]
        try:
            found = Head(*self.fetch(key, 0, ahead, None))
        except FileNotFoundError as error:
            if kept is not None:
                kept[name] = error
            raise
        if kept is not None:
            kept[name] = found
        return found

    def read(self, key: str, limit: int = -1) -> bytes:
        """A file, or its first `limit` bytes."""
        kept = getattr(_local, "heads", None)
        if kept is None or (self.title, key) not in kept:
            found = Head(*self.fetch(key, 0, None if limit < 0 else limit, None))
            if kept is not None:
                kept[self.title, key] = found
            return found.data
        head = self.head(key)
        stop = head.info.size if limit < 0 else min(limit, head.info.size)
        if stop <= len(head.data):
            return head.data[:stop]
        _, rest = self.fetch(key, len(head.data), stop, head.info)
        kept[self.title, key] = found = Head(head.info, head.data + rest)
        return found.data

    def listed_lately(self, key: str) -> bool | None:
        """Whether a listing of the last seconds held a file; None where none says."""
        return None


_local = threading.local()


@contextmanager
def reading() -> Iterator[None]:
    """Keep what is read in this thread of object stores and archives until the block ends.

    For the files of one image: whether they are there, their headers, stamps and contents then cost one
    request each.
    """
    if getattr(_local, "heads", None) is not None:
        yield
        return
    _local.heads = {}
    try:
        yield
    finally:
        _local.heads = None


class StoredFile(io.RawIOBase):
    """A file of a tree, opened for reading; nothing beyond what is asked for is fetched, but for `HEAD`."""

    def __init__(self, tree: FileTree, key: str) -> None:
        super().__init__()
        self.tree, self.key = tree, key
        self._head = tree.head(key)
        self._window, self._start, self._at = self._head.data, 0, 0

    @property
    def length(self) -> int:
        """Bytes of the file."""
        return self._head.info.size

    @property
    def version(self) -> tuple[int, ...]:
        """Which version of the file is read."""
        return self._head.info.version

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.length}[whence]
        if start + offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = start + offset
        return self._at

    def read(self, count: int | None = -1) -> bytes:
        """The next bytes: as many as are asked for, fewer only at the end."""
        stop = self.length if count is None or count < 0 else min(self._at + count, self.length)
        if self._at >= stop:
            return b""
        end = self._start + len(self._window)
        if not (self._start <= self._at and stop <= end):
            _, self._window = self.tree.fetch(
                self.key, self._at, min(max(stop, self._at + HEAD), self.length), self._head.info
            )
            self._start = self._at
        first = self._at - self._start
        found = self._window[first : first + stop - self._at]
        self._at += len(found)
        return found

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)


def is_reading() -> bool:
    """Whether this thread is inside `reading`."""
    return getattr(_local, "heads", None) is not None
