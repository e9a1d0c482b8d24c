"""Files that appear whole or not at all, one writer a folder, and sentences for a disk that refuses.

A file under way is called `NAME.DIGITS.partial` until it is moved over its name, with 32 hexadecimal digits;
Zarr does the same with its chunks. Only a process that is killed leaves one behind; whoever writes there next
deletes it. Nothing else is ever deleted but by `delete`, which looks at what it is about to delete.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import shutil
import socket
import stat
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError, BusyError
from pipeline.storage import StoredPath, is_address, lexists
from pipeline.workspace import object_locks, objects

_UNWAITING = getattr(os, "O_NONBLOCK", 0)  # Windows has neither
_UNFOLLOWED = _UNWAITING | getattr(os, "O_NOFOLLOW", 0)

MAX_JSON = 64 * 2**20
"""Bytes of a JSON file that is read: hundreds of times the largest that is written."""

COMPARED = 4096
"""Lines of a file that are compared at once."""

HOLDER = object_locks.HOLDER
"""Begins what `lock` writes into its file."""

PARTIAL = r"\.(\d+|[0-9a-f]{32})\.partial"
"""Ends the name of a file under way: ours, or one of Zarr's."""


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
    if isinstance(path, StoredPath):
        with objects.replacing(path) as local:
            yield local
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")  # others on other machines write, too
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all. Raises AdaprepError (see `writing`)."""
    with writing(path):
        if is_address(path):
            path.write_bytes(text.encode())
            return
        with replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file whole or not at all, a line after the other; each brings what ends it.

    Raises
    ------
    AdaprepError
        See `writing`.
    """
    if is_address(path):
        write_text(path, "".join(lines))
        return
    with writing(path), replacing(path) as partial:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)


def append(path: Path, text: str) -> None:
    """Add to the end of a file; an object is written again whole. Raises AdaprepError (see `writing`)."""
    with writing(path):
        if is_address(path):
            before = b""
            with suppress(FileNotFoundError):
                before = path.read_bytes()
            path.write_bytes(before + text.encode())
            return
        with path.open("a", encoding="utf-8", newline="") as file:
            file.write(text)


def holds(path: Path, lines: Iterable[str]) -> bool:
    """Whether a file is what `write_lines` would write. Raises OSError where it cannot be read."""
    if is_address(path):
        return path.read_bytes() == "".join(lines).encode()
    source = iter(lines)
    with path.open("rb") as file:
        while part := "".join(islice(source, COMPARED)).encode():
            if file.read(len(part)) != part:
                return False
        return not file.read(1)


def same_content(first: Path, second: Path) -> bool:
    """Whether two files hold the same bytes. Raises OSError where one cannot be read."""
    if is_address(first):
        return first.read_bytes() == second.read_bytes()
    if first.stat().st_size != second.stat().st_size:
        return False
    with first.open("rb") as one, second.open("rb") as other:
        while part := one.read(2**20):
            if part != other.read(2**20):
                return False
    return True


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, whole or not at all. Raises AdaprepError (see `writing`)."""
    write_text(path, json_text(data) + "\n")


def json_text(data: Any, ascii_only: bool = False) -> str:
    """JSON of plain data: NumPy's numbers as numbers, null for what is not finite.

    Names that are not Unicode (lone surrogates) are escaped, and are the same when they are read again.
    """
    text = json.dumps(plain(data), ensure_ascii=ascii_only, indent=2, allow_nan=False)
    return re.sub("[\ud800-\udfff]", lambda match: f"\\u{ord(match.group()):04x}", text)


def plain(data: Any) -> Any:
    """The same with Python's own numbers, lists and dictionaries; None for NaN and infinity."""
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple, set, frozenset)):
        return [plain(value) for value in data]
    if hasattr(data, "tolist"):  # NumPy's arrays and scalars
        return plain(data.tolist())
    if isinstance(data, float):
        return float(data) if math.isfinite(data) else None
    return data


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; NaN in it, which JSON does not know, becomes None.

    Raises
    ------
    AdaprepError
        The file is absent, damaged, larger than `MAX_JSON` or no JSON object; with the path.
    """
    try:
        data = _read_regular(path, MAX_JSON + 1)
        if len(data) > MAX_JSON:
            raise ValueError(f"larger than {MAX_JSON} bytes")
        content = json.loads(data.decode("utf-8"), parse_constant=lambda _: None)
    except (OSError, ValueError, RecursionError) as error:
        raise AdaprepError(f"cannot read {path}: {error}. Run the command that makes it again.") from error
    if not isinstance(content, dict):
        raise AdaprepError(f"{path} is damaged: not a JSON object. Delete it and run its command again.")
    return content


def _read_regular(path: Path, count: int) -> bytes:
    if isinstance(path, StoredPath):
        return path.read_bytes(count)
    with open(path, "rb", opener=_open_regular) as file:
        return file.read(count)


def _open_regular(name: str, flags: int) -> int:
    """Open a file that is one: no device, no pipe that waits for a writer."""
    handle = os.open(name, flags | _UNWAITING)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "not a regular file", name)
    return handle


def clear_partial(folder: Path, name: str, *names: str) -> None:
    """Delete what a killed writer left half-written of these files right in a folder.

    To be called by the only writer of these files. Files of other names stay, whatever they end in.
    """
    if is_address(folder):  # nothing is ever there by half
        return
    ours = re.compile(f"({'|'.join(map(re.escape, (name, *names)))}){PARTIAL}")
    for path in folder.glob("*.partial"):
        if ours.fullmatch(path.name) and path.is_file():
            delete(path, folder)


def clear_partials_below(folder: Path, ours: Callable[[str], bool], within: Path) -> None:
    """Delete what killed writers left half-written anywhere below a folder; nothing where there is none.

    Parameters
    ----------
    ours
        Whether we make a file of this path, relative to `within`, with slashes.
    """
    if is_address(folder):
        return
    for place, _, files in os.walk(folder):
        for name in files:
            if name.endswith(".partial"):
                path = Path(place, name)
                if ours(path.relative_to(within).as_posix()):
                    delete(path, within)


def delete(path: Path, within: Path, ours: Callable[[str], bool] | None = None) -> None:
    """Delete a file, or a folder in which there is nothing but what we make; nothing where nothing is.

    All deletions go through here.

    Parameters
    ----------
    within
        The folder that `path` must lie in: the workspace, or a part of it.
    ours
        For a folder: whether we make a file of this path, relative to `path`, with slashes.

    Raises
    ------
    AdaprepError
        `path` leads out of `within`, or the folder is a link or holds what is not ours: nothing is deleted.
    """
    if not lexists(path):
        return
    check_deletable(path, within, ours)
    if isinstance(path, StoredPath):
        objects.delete_below(path)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def check_deletable(path: Path, within: Path, ours: Callable[[str], bool] | None = None) -> None:
    """Raise AdaprepError where `delete` would."""
    root, parent = within.resolve(), path.parent.resolve()
    if parent != root and root not in parent.parents:
        raise AdaprepError(f"{path} leads to {parent / path.name}, which is not in {within}: not deleted.")
    if path.is_symlink() and ours is not None:
        raise AdaprepError(f"{path} is a link, to {path.resolve()}: not deleted. Remove the link by hand.")
    if not path.is_dir() or path.is_symlink():
        return
    if foreign := next((f for f in _files(path) if ours is None or not ours(f)), None):
        raise AdaprepError(
            f"{path} is not deleted: {path / foreign} is nothing that adaprep makes. "
            f"Move it elsewhere, or delete {path} by hand, and run the same command again."
        )


def _files(folder: Path) -> Iterator[str]:
    """Everything below a folder that is not a folder itself, relative to it; links are not followed."""
    if isinstance(folder, StoredPath):
        yield from folder.below()
        return
    for name, folders, files in os.walk(folder, onerror=_fail):
        place = Path(name)
        links = [f for f in folders if (place / f).is_symlink()]
        for file in [*files, *links]:
            yield (place / file).relative_to(folder).as_posix()


def _fail(error: OSError) -> None:
    raise error


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Keep every other adaprep from writing to a folder meanwhile; it is made if need be.

    Raises
    ------
    BusyError
        Somebody does already: names process, host and since when.
    AdaprepError
        The lock cannot be made: no permission, or something else has its name.
    """
    from filelock import lock_descriptor

    if isinstance(folder, StoredPath):
        with writing(folder), object_locks.lock(folder):
            yield
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        handle = _open_lock(folder / ".lock")
    try:
        if not lock_descriptor(handle, blocking=False):
            holder = _first_bytes(handle).decode("utf-8", "replace") or "another process"
            raise BusyError(
                f"another adaprep run is writing to {folder} ({holder})",
                "Wait for it, or choose another --workspace.",
            )
        started = time.strftime("%Y-%m-%d %H:%M:%S")
        with suppress(OSError):  # who holds it is for people; the lock itself is held either way
            os.ftruncate(handle, 0)
            os.write(handle, f"{HOLDER}{os.getpid()} on {socket.gethostname()}, since {started}".encode())
        yield
        os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def holder(folder: Path) -> str | None:
    """Who is writing to a folder now: process, host, since when. None where nobody is, or it cannot be told.

    Nothing is made or written, so that a workspace that may only be read can be asked.
    """
    from filelock import lock_descriptor

    if isinstance(folder, StoredPath):
        return object_locks.holder(folder)
    try:
        handle = os.open(folder / ".lock", os.O_RDONLY | _UNFOLLOWED)
    except OSError:
        return None
    try:
        found = _first_bytes(handle).decode("utf-8", "replace")
        # asked only where one was noted: asking takes the lock for a moment
        held = found.startswith(HOLDER) and not lock_descriptor(handle, blocking=False)
        return found if held else None
    except OSError:
        return None
    finally:
        os.close(handle)


def _open_lock(path: Path) -> int:
    """Open the lock's file, made if need be, which must be empty or of ours: it will be written over."""
    if path.is_symlink():  # as O_NOFOLLOW says, which Windows has not
        raise AdaprepError(_no_lock(path))
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | _UNFOLLOWED, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
            raise AdaprepError(_no_lock(path)) from error
        raise
    if stat.S_ISREG(os.fstat(handle).st_mode) and _first_bytes(handle)[: len(HOLDER)] in (
        b"",
        HOLDER.encode(),
    ):
        return handle
    os.close(handle)
    raise AdaprepError(_no_lock(path))


def _first_bytes(handle: int) -> bytes:
    """What an open file begins with; nothing where Windows keeps its holder's bytes from others."""
    with suppress(PermissionError):
        os.lseek(handle, 0, os.SEEK_SET)
        found = os.read(handle, 1000)
        os.lseek(handle, 0, os.SEEK_SET)
        return found
    return b""


def _no_lock(path: Path) -> str:
    return (
        f"{path} is not a lock of adaprep, as it should be (a link, a folder, or someone else's file): "
        f"it is left as it is. Move it away, or choose another --workspace."
    )
