"""Listing folders and opening files, with an error that says what is wrong with which file."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, TypeGuard, cast

from pipeline import storage
from pipeline.errors import AdaprepError, FileError
from pipeline.storage import StoredPath
from pipeline.storage.tree import StoredFile

REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "no such file (a part of the path is not a folder)",
    errno.EISDIR: "is a folder, not a file",
    errno.EACCES: "permission denied: this user may not read it",
    errno.EPERM: "permission denied: this user may not read it",
    errno.ELOOP: "is a symbolic link that leads back to itself",
    errno.ENAMETOOLONG: "no such file (the name is longer than the file system allows)",
    errno.ENXIO: "is a socket or a device, not a file",
}

KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)

COMPANIONS = frozenset(
    (
        "__macosx",
        "@eadir",
        "@recycle",
        "@recently-snapshot",
        "@tmp",
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "lost+found",
        "thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
    )
)
"""Folders and files that archives, network storage and desktops add to people's folders (in lower case):
thumbnails, deleted files, snapshots."""


def file_error(path: Path, error: OSError) -> FileError:
    """What the operating system says about a file, as a sentence with the path in it."""
    if error.errno == errno.ENOENT and path.is_symlink():
        return FileError(f"{path}: is a symbolic link to {os.readlink(path)}, which does not exist")
    reason = REASONS.get(error.errno or 0) or error.strerror or str(error)
    return FileError(f"{path}: {reason}")


def open_file(path: Path) -> BinaryIO:
    """A regular file, opened for reading.

    Nothing is waited for, and devices, named pipes and sockets are refused before a byte is read.

    Raises
    ------
    FileError
        It is absent, unreadable, or no regular file.
    """
    try:
        if _is_stored(path):
            return cast(BinaryIO, path.open_stored())
        file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115  # the caller closes it
    except OSError as error:
        raise file_error(path, error) from error
    except ValueError as error:
        raise FileError(f"{str(path)!r}: no such file ({error})") from error
    mode = os.fstat(file.fileno()).st_mode
    if stat.S_ISREG(mode):
        return file
    file.close()
    kind = next((name for test, name in KINDS if test(mode)), "something else")
    raise FileError(f"{path}: is {kind}, not a file")


def _open_at_once(path: str, flags: int) -> int:
    """Open without waiting for the other end of a pipe, or for a device."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """The file, or its first `limit` bytes.

    Raises
    ------
    FileError
        It is absent, unreadable, no regular file, empty, or larger than the memory.
    """
    try:
        data = path.read_bytes(limit) if _is_stored(path) else _read_opened(path, limit)
    except OSError as error:
        raise file_error(path, error) from error
    except (MemoryError, OverflowError) as error:
        raise FileError(f"{path}: is too large for the memory of this machine") from error
    if not data:
        raise FileError(f"{path}: empty file (0 bytes)")
    return data


def _read_opened(path: Path, limit: int) -> bytes:
    with open_file(path) as file:
        return file.read(limit)


def _is_stored(path: Path) -> TypeGuard[StoredPath]:
    """Whether a file lies in an object store or an archive."""
    return isinstance(path, StoredPath) and path.place() is not None


def length(file: BinaryIO) -> int:
    """Bytes of an open file."""
    if isinstance(file, io.BytesIO):
        return file.getbuffer().nbytes
    return file.length if isinstance(file, StoredFile) else os.fstat(file.fileno()).st_size


def identity(file: BinaryIO) -> tuple[object, ...]:
    """What tells an open file from others, and from itself with another content."""
    if isinstance(file, StoredFile):
        return file.tree.title, file.key, file.length, *file.version
    about = os.fstat(file.fileno())
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


def exists(path: Path) -> bool:
    """Whether a file or folder is there; in an object store, one listed seconds ago need not be asked for."""
    if isinstance(path, StoredPath) and (place := path.place()) is not None:
        tree, key = place
        if (listed := tree.listed_lately(key)) is not None:
            return listed
    return storage.exists(path)


def walk(folder: Path) -> Iterator[str]:
    """Paths of all files below a folder, relative and with '/', in no particular order.

    Symbolic links are followed; a folder that was listed already, under whatever name, is not listed again,
    so links in a circle end. Links that lead nowhere are listed: reading them says what is wrong. Names that
    begin with a dot, and `COMPANIONS` such as `__MACOSX` and `@eaDir`, are left out. No file is looked at,
    only folders are, which keeps a hundred thousand frames cheap on a network disk. An absent folder has no
    files.

    Raises
    ------
    AdaprepError
        A folder may not be listed.
    """
    if _is_stored(folder):
        yield from _walk_stored(folder)
        return
    seen: set[tuple[int, int]] = set()
    # Real folders come before linked ones, so that a file has its real path where it has two.
    real, linked = [""], list[str]()
    while real or linked:
        below = (real or linked).pop()
        here = os.path.join(folder, below)
        try:
            info = os.stat(here)
            if (info.st_dev, info.st_ino) in seen:
                continue
            seen.add((info.st_dev, info.st_ino))
            with os.scandir(here) as entries:
                for entry in entries:
                    if _is_left_out(entry.name):
                        continue
                    name = f"{below}/{entry.name}" if below else entry.name
                    if not _is_folder(entry):
                        yield name
                    elif entry.is_symlink():
                        linked.append(name)
                    else:
                        real.append(name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = REASONS.get(error.errno or 0) or error.strerror
            raise AdaprepError(f"cannot list the folder {here}: {reason}") from error


def _walk_stored(folder: StoredPath) -> Iterator[str]:
    """`walk` in an object store or an archive."""
    place = folder.place()
    assert place is not None
    tree, key = place
    try:
        for name, _ in tree.walk(key):
            if not any(map(_is_left_out, name.split("/"))):
                yield name
    except OSError as error:
        raise AdaprepError(f"cannot list {folder}: {error.strerror or error}") from error


def _is_left_out(name: str) -> bool:
    return name.startswith(".") or name.lower() in COMPANIONS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle: a file that cannot be read
        return False


def find_files(folder: Path, endings: tuple[str, ...], any_case: bool = False) -> list[str]:
    """Files below a folder whose names end in one of `endings`, relative, with '/', sorted.

    An absent folder has no files; links and hidden files are treated as in `walk`. With `any_case`, what
    follows the last full stop of an ending may be in upper or lower case.
    """
    return sorted(name for name in walk(folder) if _ending(name, endings, any_case) is not None)


def find_keys(folder: Path, endings: tuple[str, ...], any_case: bool = False) -> dict[str, str]:
    """Files below a folder by what pairs them with other files: the relative path without its ending.

    Returns
    -------
    Key to relative path, in the order of the paths.

    Raises
    ------
    AdaprepError
        Two files have the same key.
    """
    found: dict[str, str] = {}
    for name in find_files(folder, endings, any_case):
        key = name[: -len(_ending(name, endings, any_case) or "")]
        if key in found:
            raise AdaprepError(
                f"two files of the same name in {folder}: {found[key]} and {name}. "
                f"Which of them belongs to the frame {key!r} cannot be told: remove one."
            )
        found[key] = name
    return found


def _ending(name: str, endings: tuple[str, ...], any_case: bool) -> str | None:
    """The first of the endings that a name has, or None."""
    if not any_case:
        return next((ending for ending in endings if name.endswith(ending)), None)
    for ending in endings:
        stem, dot, extension = ending.rpartition(".")
        tail = name[-len(ending) :]
        if tail.lower().endswith((dot + extension).lower()) and tail.startswith(stem):
            return ending
    return None
