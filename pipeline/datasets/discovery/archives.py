"""Unpacking a zip or tar file beside itself, and nowhere else."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.workspace import disk, room

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""Of archives, in lower case."""

M = TypeVar("M")

BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
)


def is_archive(path: Path) -> bool:
    """Whether a path ends as archives do."""
    return path.name.lower().endswith(ENDINGS)


def command(path: Path, folder: Path) -> str:
    """What unpacks an archive in a shell."""
    import shlex

    source, target = shlex.quote(str(path)), shlex.quote(str(folder))
    if path.name.lower().endswith(".zip"):
        return f"unzip {source} -d {target}"
    return f"mkdir {target} && tar -xf {source} -C {target}"


def stem(path: Path) -> str:
    """The name of an archive without its ending."""
    ending = next(end for end in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(end))
    return path.name[: -len(ending)] or "unpacked"


def unpack(path: Path, folder: Path) -> None:
    """Unpack an archive into a new folder, whole or not at all.

    Raises
    ------
    AdaprepError
        The folder holds something, the archive is damaged, the disk has no room for it, or a member would lie
        outside the folder or is no plain file or folder; the message names it.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise AdaprepError(
            printable(
                f"{folder} is there already. Run: {advice.command('init', folder=folder)}   or unpack into "
                f"another folder"
            )
        )
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        with disk.writing(folder):
            partial.mkdir(parents=True)
        _unpack(path, partial)
        with disk.writing(folder):
            if folder.is_dir():
                folder.rmdir()
            os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unpack(path: Path, folder: Path) -> None:
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                _check_room(path, sum(member.file_size for member in archive.infolist()), folder)
                for name, member in _checked(path, _zip_members(archive)):
                    if member is not None:
                        with archive.open(member) as source:
                            _copy(source, folder / name)
            return
        with tarfile.open(path) as tar:
            members = tar.getmembers()
            _check_room(path, sum(member.size for member in members), folder)
            for name, entry in _checked(path, _tar_members(members)):
                if entry is not None and (content := tar.extractfile(entry)):
                    _copy(content, folder / name)
    except AdaprepError:
        raise
    except BROKEN as error:
        raise AdaprepError(printable(f"{path}: cannot be unpacked: {error}")) from error


def _zip_members(archive: zipfile.ZipFile) -> Iterator[tuple[str, zipfile.ZipInfo | None, str]]:
    for member in archive.infolist():
        mode = member.external_attr >> 16
        kind = "a link" if stat.S_ISLNK(mode) else ""
        yield member.filename, None if member.is_dir() else member, kind


def _tar_members(members: list[tarfile.TarInfo]) -> Iterator[tuple[str, tarfile.TarInfo | None, str]]:
    for member in members:
        kind = "" if member.isfile() or member.isdir() else "a link or a device"
        yield member.name, member if member.isfile() else None, kind


def _checked(path: Path, members: Iterator[tuple[str, M | None, str]]) -> Iterator[tuple[str, M | None]]:
    """The members, once all of them are known to be plain files and folders below the folder."""
    every = list(members)
    for name, _, kind in every:
        pure = PurePosixPath(name.replace("\\", "/"))
        if pure.is_absolute() or ".." in pure.parts or ":" in name.partition("/")[0]:
            raise AdaprepError(
                printable(f"{path}: its member {name!r} would lie outside the folder: nothing was unpacked")
            )
        if kind:
            raise AdaprepError(
                printable(f"{path}: its member {name!r} is {kind}, no file: nothing was unpacked")
            )
    return ((name, member) for name, member, _ in every)


def _copy(source: IO[bytes], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        shutil.copyfileobj(source, file)


def _check_room(path: Path, needed: int, folder: Path) -> None:
    free = room.free_space(folder)
    if needed > free:
        raise AdaprepError(
            f"{path} holds {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free to unpack it to"
        )
