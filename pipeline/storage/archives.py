"""Files inside zip and tar archives, read where they lie.

An archive is indexed once per process and content: where each member begins, and how long it is. A member is
then one read of the archive, from several threads at once.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO

from pipeline.names import printable
from pipeline.storage.errors import StorageError
from pipeline.storage.tree import FOLDER, FileTree, Info

ZIP, TAR = ".zip", ".tar"
PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
"""Archives that are compressed as a whole: a member cannot be read without all before it."""

KEPT = 8
"""Archives whose index is kept."""

LOCAL_HEADER = struct.Struct("<4s2B4HL2L2H")
SLACK = 512
"""Bytes of extra fields of a member that are fetched with it in one read."""

ReadAt = Callable[[int, int], bytes]
"""Bytes of an archive: the first, and how many."""


def is_archive(name: str) -> bool:
    """Whether a name ends as archives do."""
    return name.lower().endswith((ZIP, TAR, *PACKED))


def may_lead_into(text: str) -> bool:
    """Whether a path has a part that could be an archive's name."""
    text = text.lower()
    return any(ending in text for ending in (ZIP, TAR, *PACKED))


def holder(text: str) -> str | None:
    """The part of a path that is an archive on this machine; None where none is."""
    if not may_lead_into(text):
        return None
    start = 0
    while start >= 0:
        start = text.find("/", start + 1)
        part = text if start < 0 else text[:start]
        if is_archive(part) and os.path.isfile(part):
            return part
    return None


def place(text: str) -> tuple[Archive, str] | None:
    """The archive on this machine that a path leads into, and the member's key. Raises StorageError."""
    archive = holder(text)
    if archive is None:
        return None
    return opened(archive), text[len(archive) :].strip("/")


def opened(path: str) -> Archive:
    """The index of an archive on this machine, made once for its content. Raises StorageError."""
    try:
        about = os.stat(path)
    except OSError as error:
        raise StorageError(printable(f"{path}: {error.strerror}")) from error
    identity = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns)
    return kept((os.path.abspath(path), *identity), lambda: _open_local(path, identity))


_archives: OrderedDict[tuple[object, ...], Archive] = OrderedDict()
_lock = threading.Lock()


def kept(key: tuple[object, ...], make: Callable[[], Archive]) -> Archive:
    """The archive of this identity: indexed now, or before."""
    with _lock:
        if key not in _archives:
            _archives[key] = make()
            while len(_archives) > KEPT:
                _archives.popitem(last=False)
        _archives.move_to_end(key)
        return _archives[key]


def _open_local(path: str, identity: tuple[int, ...]) -> Archive:
    try:
        file = open(path, "rb")  # noqa: SIM115  # as long as the index is kept
    except OSError as error:
        raise StorageError(printable(f"{path}: {error.strerror}")) from error
    handle = file.fileno()
    return make(path, file, lambda start, count: os.pread(handle, count, start), identity)


def make(title: str, file: IO[bytes], read_at: ReadAt, identity: tuple[int, ...]) -> Archive:
    """The index of an archive that is open.

    Raises
    ------
    StorageError
        It is no archive, is cut short, or is compressed as a whole.
    """
    name = title.lower()
    if name.endswith(PACKED):
        raise StorageError(
            printable(
                f"{title}: is compressed as a whole, so that no file in it can be read without all before "
                f"it. Unpack it, or pack its files as .zip or .tar."
            )
        )
    try:
        members = _zip_members(file) if name.endswith(ZIP) else _tar_members(file, identity)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, ValueError, NotImplementedError) as error:
        kind = "zip" if name.endswith(ZIP) else "tar"
        raise StorageError(
            printable(
                f"{title}: is no {kind} archive, or is cut short or damaged ({error}). Copy it again, or "
                f"give the folder that its files were unpacked into."
            )
        ) from error
    except OSError as error:
        raise StorageError(printable(f"{title}: cannot be read: {error.strerror or error}")) from error
    return Archive(title, file, read_at, members)


@dataclass(frozen=True)
class Member:
    """Where a file lies in an archive."""

    info: Info
    start: int  # of its header in a zip archive, of its bytes in a tar archive
    packed: int  # bytes as they lie there
    method: int | None = None  # how a zip archive compresses it; None in a tar archive
    crc: int = 0
    name: bytes = b""
    problem: str = ""  # why it cannot be read


def _zip_members(file: IO[bytes]) -> dict[str, Member]:
    members = {}
    with zipfile.ZipFile(file) as archive:
        for about in archive.infolist():
            if about.is_dir() or not (key := _key(about.filename)):
                continue
            problem = "is encrypted: unpack it with its password" if about.flag_bits & 1 else ""
            if about.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                problem = problem or f"is compressed by a method (number {about.compress_type}) not read here"
            version = (about.CRC, about.file_size, zipfile.ZIP_STORED)
            members[key] = Member(
                Info(about.file_size, version, _seconds(about.date_time)),
                about.header_offset,
                about.compress_size,
                about.compress_type,
                about.CRC,
                problem=problem,
            )
    return members


def _seconds(date: tuple[int, int, int, int, int, int]) -> float:
    import calendar

    return float(calendar.timegm((*date, 0, 0, 0)))


def _tar_members(file: IO[bytes], identity: tuple[int, ...]) -> dict[str, Member]:
    members: dict[str, Member] = {}
    links: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="r:") as archive:
        for about in archive:
            key = _key(about.name)
            if about.isreg():
                whole = f"{identity} {about.offset_data} {about.size}".encode()
                version = struct.unpack("<3Q", hashlib.blake2b(whole, digest_size=24).digest())
                info = Info(about.size, version, float(about.mtime))
                members[key] = Member(info, about.offset_data, about.size)
            elif about.islnk() or about.issym():
                above = "" if about.islnk() else os.path.dirname(about.name)
                links[key] = _key(os.path.normpath(os.path.join(above, about.linkname)))
    members |= {key: members[target] for key, target in links.items() if target in members}
    return members


def _key(name: str) -> str:
    """The name of a member as a key: no way up, no empty part."""
    return "/".join(part for part in name.split("/") if part not in ("", ".", ".."))


class Archive(FileTree):
    """The files of one archive."""

    def __init__(self, title: str, file: IO[bytes], read_at: ReadAt, members: dict[str, Member]) -> None:
        self.title, self.members, self._file, self._read_at = title, members, file, read_at
        self._folders: dict[str, dict[str, Info]] = {"": {}}
        for key, member in sorted(members.items()):
            self._add(key, member.info)

    def _add(self, key: str, info: Info) -> None:
        folder, _, name = key.rpartition("/")
        if folder not in self._folders:
            self._folders[folder] = {}
            self._add(folder, FOLDER)
        self._folders[folder][name] = info

    def info(self, key: str) -> Info | None:
        if key in self._folders:
            return FOLDER
        return self.members[key].info if key in self.members else None

    def version(self, key: str) -> tuple[int, ...]:
        return self.members[key].info.version if key in self.members else ()

    def entries(self, key: str) -> dict[str, Info]:
        return self._folders.get(key, {})

    def walk(self, key: str) -> Iterator[tuple[str, Info]]:
        for name, info in self.entries(key).items():
            if not info.is_folder:
                yield name, info
                continue
            below = f"{key}/{name}" if key else name
            for inner, about in self.walk(below):
                yield f"{name}/{inner}", about

    def fetch(self, key: str, start: int, stop: int | None, info: Info | None) -> tuple[Info, bytes]:
        member = self.members.get(key)
        if member is None:
            number = errno.EISDIR if key in self._folders else errno.ENOENT
            raise OSError(number, os.strerror(number), f"{self.title}/{key}")
        if member.problem:
            raise OSError(errno.EIO, member.problem)
        size = member.info.size
        stop = size if stop is None else min(stop, size)
        if member.method is None:
            data = self._read_at(member.start + start, max(0, stop - start))
            if len(data) < stop - start:
                raise _damaged("the archive is cut short")
            return member.info, data
        return member.info, self._unpacked(member, stop)[start:]

    def _unpacked(self, member: Member, stop: int) -> bytes:
        """The first `stop` bytes of a member of a zip archive; its sum is checked where that is all."""
        packed = self._packed(member, stop)
        if member.method == zipfile.ZIP_STORED:
            data = packed[:stop]
        else:
            from pipeline.datasets.inflate import error as damage
            from pipeline.datasets.inflate import library

            try:
                data = library.decompressobj(-zlib.MAX_WBITS).decompress(packed, max(1, stop))[:stop]
            except damage as error:
                raise _damaged(str(error)) from error
        if len(data) < stop:
            raise _damaged("it ends early")
        if stop == member.info.size and zlib.crc32(data) != member.crc:
            raise _damaged("its bytes are not those that were packed (CRC)")
        return bytes(data)

    def _packed(self, member: Member, stop: int) -> bytes:
        """As many bytes of a member, as they lie in a zip archive, as the first `stop` of it are made of."""
        count = member.packed if stop >= member.info.size else min(member.packed, stop + stop // 64 + 128)
        guess = LOCAL_HEADER.size + SLACK + count
        data = self._read_at(member.start, guess)
        if len(data) < LOCAL_HEADER.size or data[:4] != b"PK\x03\x04":
            raise _damaged("there is no header where the archive's list says")
        name, extra = LOCAL_HEADER.unpack_from(data)[-2:]
        first = LOCAL_HEADER.size + name + extra
        if len(data) < first + count:
            data += self._read_at(member.start + len(data), first + count - len(data))
        return data[first : first + count]


def _damaged(why: str) -> OSError:
    return OSError(errno.EIO, f"is damaged inside the archive: {why}")
