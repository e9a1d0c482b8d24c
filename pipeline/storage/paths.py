"""Paths of files that lie in an object store or in an archive."""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import re
import stat
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PosixPath
from typing import Any, cast

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.storage import archives, objects
from pipeline.storage.tree import FileTree, Info, StoredFile

ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+", re.IGNORECASE)
"""How an address begins, also where `Path` has taken it for a path; not a drive's letter."""


def as_path(text: str | os.PathLike[str]) -> Path:
    """The path that is meant: of a folder or file here, of an object store, or inside an archive.

    Raises
    ------
    AdaprepError
        It is an address of a kind that is not known.
    """
    if isinstance(text, StoredPath):
        return text
    said = os.fspath(text)
    if match := ADDRESS.match(said):
        scheme = match[1].lower()
        rest = said[match.end() :]
        if scheme == "file":
            return Path(f"/{rest}")
        if scheme not in objects.SCHEMES:
            raise AdaprepError(
                f"{printable(f'{scheme}://{rest}')}: files are read of folders, archives and object stores "
                f"({', '.join(f'{known}://' for known in objects.SCHEMES)}), not of {scheme}"
            )
        if not rest.strip("/"):
            raise AdaprepError(f"{scheme}:// names no bucket: give {scheme}://BUCKET/FOLDER")
        return StoredPath(f"{scheme}:/{rest}")
    return StoredPath(said) if archives.holder(said) else Path(said)


def file_path(text: str | os.PathLike[str]) -> Path:
    """As `as_path`, but that an archive is a file like any other: of a file that commands read as a whole."""
    return as_path(text) if ADDRESS.match(os.fspath(text)) else Path(text)


def joined(folder: Path, text: str) -> Path:
    """A path relative to a folder, unless it is absolute or an address itself."""
    if ADDRESS.match(text) or os.path.isabs(text):
        return as_path(text)
    return as_path(folder / text) if archives.may_lead_into(text) else folder / text


class StoredPath(PosixPath):
    """A path that is used as any other, whose file may lie in an object store or in an archive.

    Where neither holds it, as of an absolute path joined to another root, it is a path of this machine.
    """

    @property
    def is_remote(self) -> bool:
        """Whether it is an address of an object store."""
        parts = self.parts
        return len(parts) > 1 and parts[0][-1] == ":" and parts[0][:-1] in objects.SCHEMES

    def __str__(self) -> str:
        text = super().__str__()
        if not self.is_remote:
            return text
        scheme, _, rest = text.partition(":/")
        return f"{scheme}://{rest.lstrip('/')}"

    def __fspath__(self) -> str:
        return str(self)

    def as_posix(self) -> str:
        return str(self)

    def place(self) -> tuple[FileTree, str] | None:
        """The tree that it lies in, and its key there; None where it is a path of this machine."""
        if self.is_remote:
            return objects.place(self.parts[0][:-1], self.parts[1:])
        return archives.place(super().__str__())

    def info(self) -> Info | None:
        """What is known of the file or folder there; None where there is none."""
        place = self.place()
        if place is None:
            try:
                about = os.stat(super().__str__())
            except (FileNotFoundError, NotADirectoryError):
                return None
            return Info(about.st_size, (), about.st_mtime, stat.S_ISDIR(about.st_mode))
        tree, key = place
        return tree.info(key)

    def version(self) -> tuple[int, ...] | None:
        """Three numbers that change with the content; () where there is no file.

        Inside `storage.reading` what is asked about will be read, so that its beginning is fetched too.
        """
        place = self.place()
        if place is None:
            return None
        tree, key = place
        listed = _listed_version(tree, key)
        return tree.version(key) if listed is None else listed

    def bucket(self, *below: str) -> tuple[objects.Bucket, str]:
        """The bucket of an address, and the key of what lies below it there."""
        return objects.bucket(self.parts[0][:-1], self.parts[1]), "/".join([*self.parts[2:], *below])

    def exists(self, **_: Any) -> bool:
        return self.info() is not None

    def is_dir(self, **_: Any) -> bool:
        if (place := self.place()) is not None:
            return place[0].is_folder(place[1])
        about = self.info()
        return about is not None and about.is_folder

    def is_file(self, **_: Any) -> bool:
        if (place := self.place()) is not None:
            return place[0].is_file(place[1])
        about = self.info()
        return about is not None and not about.is_folder

    def is_symlink(self) -> bool:
        return self.place() is None and os.path.islink(super().__str__())

    def is_absolute(self) -> bool:
        return self.is_remote or super().is_absolute()

    def absolute(self) -> StoredPath:
        return self if self.is_remote else super().absolute()

    def resolve(self, strict: bool = False) -> StoredPath:
        return self if self.is_remote else super().resolve(strict)

    def expanduser(self) -> StoredPath:
        return self if self.is_remote else super().expanduser()

    def stat(self, **options: Any) -> os.stat_result:
        about = self.info()
        if about is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        if self.place() is None:
            return os.stat(super().__str__(), **options)
        mode = stat.S_IFDIR | 0o755 if about.is_folder else stat.S_IFREG | 0o644
        whole, nanoseconds = int(about.modified), int(about.modified * 1e9)
        return os.stat_result(
            (mode, 0, 0, 1, 0, 0, about.size, *[whole] * 3, *[about.modified] * 3, *[nanoseconds] * 3)
        )

    def open_stored(self) -> StoredFile:
        """The file there, opened for reading. Raises OSError; StorageError."""
        place = self.place()
        assert place is not None, f"{self} is a path of this machine"
        return StoredFile(*place)

    def open(self, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        if self.place() is None:
            return io.open(super().__str__(), mode, *arguments, **options)  # noqa: UP020
        if set(mode) - set("rbt"):
            raise OSError(errno.EROFS, "cannot be written to", str(self))
        file = self.open_stored()
        if "b" in mode:
            return file
        return io.TextIOWrapper(cast("Any", io.BufferedReader(file)), *arguments[1:], **options)

    def read_bytes(self, limit: int = -1) -> bytes:
        place = self.place()
        if place is None:
            with open(super().__str__(), "rb") as file:
                return file.read(limit)
        tree, key = place
        return tree.read(key, limit)

    def write_bytes(self, data: Any) -> int:
        """Write an object in one request: whole, or not at all."""
        if not self.is_remote:
            raise OSError(errno.EROFS, "archives are only read", str(self))
        bucket, key = self.bucket()
        bucket.put(key, bytes(data))
        return len(data)

    def read_text(self, encoding: str | None = None, errors: str | None = None, *_: Any) -> str:
        data = self.read_bytes()
        return io.TextIOWrapper(io.BytesIO(data), encoding or "utf-8", errors).read()

    def write_file(self, file: Path) -> None:
        """Write an object of a file of this machine: whole, or not at all."""
        if not self.is_remote:
            raise OSError(errno.EROFS, "archives are only read", str(self))
        bucket, key = self.bucket()
        bucket.put_file(key, file)

    def mkdir(self, *_: Any, **__: Any) -> None:
        """Nothing: a folder of an object store is there with what lies in it."""
        if not self.is_remote:
            raise OSError(errno.EROFS, "archives are only read", str(self))

    def rmdir(self) -> None:
        self.mkdir()

    def unlink(self, missing_ok: bool = False) -> None:
        self.mkdir()
        if not missing_ok and not self.is_file():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        bucket, key = self.bucket()
        bucket.remove([key])

    def below(self) -> dict[str, Info]:
        """Every file below, by its relative path."""
        place = self.place()
        assert place is not None, f"{self} is a path of this machine"
        return dict(place[0].walk(place[1]))

    def iterdir(self) -> Generator[StoredPath, None, None]:
        yield from [self / name for name in self.entries()]

    def entries(self) -> dict[str, Info | None]:
        """What lies right in this folder, by name, with what is known of it; nothing where there is none."""
        if (place := self.place()) is not None:
            return dict(place[0].entries(place[1]))
        return dict.fromkeys(os.listdir(super().__str__()))

    def glob(self, pattern: str, **_: Any) -> Generator[StoredPath, None, None]:
        """Paths below that fit a pattern; `*`, `?` and `[...]` stand in one component each."""
        *above, last = pattern.split("/")
        found = [self]
        for part in above:
            found = [child for folder in found for child in folder._children(part, may_be_files=False)]
        for folder in found:
            yield from folder._children(last)

    def _children(self, pattern: str, may_be_files: bool = True) -> list[StoredPath]:
        if not re.search(r"[*?\[]", pattern):
            return [self / pattern] if (self / pattern).exists() else []
        if self.place() is None and not self.is_dir():
            return []
        return [
            self / name
            for name, about in self.entries().items()
            if fnmatch.fnmatchcase(name, pattern) and (may_be_files or about is None or about.is_folder)
        ]


def folders_in(folder: Path) -> list[Path]:
    """The folders right in a folder, sorted; none where there is no such folder."""
    if isinstance(folder, StoredPath) and folder.place() is not None:
        known = folder.entries().items()
        return sorted(folder / name for name, about in known if about is not None and about.is_folder)
    return [path for path in sorted(folder.glob("*")) if path.is_dir()]


def holding(folder: Path, pattern: str, names: Iterable[str]) -> list[Path]:
    """The folders that fit a pattern below a folder and hold something of one of these names, sorted."""
    if isinstance(folder, StoredPath):
        below = folder.glob(pattern)
        return sorted(path for path in below if not path.entries().keys().isdisjoint(names))
    return sorted({path.parent for name in names for path in folder.glob(f"{pattern}/{name}")})


FEW = 4
"""Files of one folder that are asked about one by one; of more, the folder is listed."""

_local = threading.local()


@contextmanager
def listed_versions(paths: Iterable[Path]) -> Iterator[None]:
    """Ask an object store for whole folders where `StoredPath.version` is called for many files of them."""
    folders = Counter(path.parent for path in paths if isinstance(path, StoredPath) and path.is_remote)
    listed: dict[tuple[str, str], dict[str, Info]] = {}
    for folder, count in folders.items():
        if count > FEW and (place := folder.place()) is not None:
            tree, key = place
            listed[tree.title, key] = tree.entries(key)
    _local.listed = listed
    try:
        yield
    finally:
        _local.listed = {}


def _listed_version(tree: FileTree, key: str) -> tuple[int, ...] | None:
    """The version of a file as `listed_versions` found it; None where it did not list its folder."""
    folder, _, name = key.rpartition("/")
    listed = getattr(_local, "listed", {}).get((tree.title, folder))
    if listed is None:
        return None
    return listed[name].version if name in listed else ()
