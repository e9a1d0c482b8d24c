"""What a command may write over: nothing but what adaprep itself made, and never its own inputs.

Whatever adaprep writes where the user says (`-o`, `--plot`) bears a mark: PNG, JPEG and TIFF name it as their
software, PDF, PostScript and SVG as their creator, an HTML page as its generator, NPZ in an array of its own.
A folder of a report is marked as a whole, by its page or by a small file.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.storage import StoredPath, archives, is_address
from pipeline.workspace import disk

if TYPE_CHECKING:
    from PIL.PngImagePlugin import PngInfo

    from pipeline.storage.tree import Info

MARK = "adaprep"

FORMATS = ("png", "jpg", "jpeg", "tif", "tiff", "pdf", "svg", "eps", "ps")
"""Suffixes of pictures that commands write, without the dot."""

FOLDER_MARK = ".adaprep"
"""Name of the file that marks a folder of a report while its page is not there."""

SOFTWARE = 305
"""Number of the tag of TIFF and EXIF that names the program."""

HEAD = 8192
"""Bytes at both ends of a file in which a mark is looked for."""

_WRITTEN = {
    ".pdf": re.compile(rb"/Creator \(adaprep\)"),
    ".svg": re.compile(rb"<dc:title>adaprep</dc:title>"),
    ".eps": re.compile(rb"%%Creator: adaprep\b"),
    ".ps": re.compile(rb"%%Creator: adaprep\b"),
    ".html": re.compile(rb'<meta name="generator" content="adaprep '),
}


def check_suffix(path: Path) -> None:
    """Raise AdaprepError unless a picture can be written to a file of this name."""
    if path.suffix.lower().removeprefix(".") not in FORMATS:
        said = f"{path.suffix} is no format of pictures" if path.suffix else "the name has no suffix"
        raise AdaprepError(f"cannot write a picture to {path}: {said} here. Use one of: {', '.join(FORMATS)}")


def save_options(suffix: str) -> dict[str, Any]:
    """What `Figure.savefig` is given so that a picture of this suffix bears the mark."""
    kind = suffix.lower()
    if kind in (".jpg", ".jpeg"):
        return {"pil_kwargs": {"comment": MARK.encode()}}
    if kind in (".tif", ".tiff"):
        return {"pil_kwargs": {"tiffinfo": {SOFTWARE: MARK}}}
    return {"metadata": {"Software" if kind == ".png" else "Creator": MARK}}


def png_info() -> PngInfo:
    """What Pillow's PNG writer is given as `pnginfo`."""
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("Software", MARK)
    return info


def is_ours(path: Path) -> bool:
    """Whether a file bears the mark; False for all that cannot be read or is no file."""
    kind = path.suffix.lower()
    try:
        if not _is_regular(path):
            return False
        if pattern := _WRITTEN.get(kind):
            return pattern.search(_ends(path)) is not None
        if kind.removeprefix(".") in FORMATS:
            return _software(path) == MARK
        if kind == ".npz":
            return _software_of_arrays(path) == MARK
    except OSError:
        return False
    return False


def _is_regular(path: Path) -> bool:
    """Whether a path is that of a file: no link to one, no folder, no device."""
    return path.is_file() if is_address(path) else stat.S_ISREG(os.lstat(path).st_mode)


def _ends(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(max(len(head), file.seek(0, os.SEEK_END) - HEAD))
        return head + file.read(HEAD)


def _software(path: Path) -> str | None:
    """What the picture says of the program that wrote it; None where it is damaged or says nothing."""
    from PIL import Image

    with (
        suppress(Exception),
        path.open("rb") as file,
        Image.open(file, formats=("PNG", "JPEG", "TIFF")) as image,
    ):
        said = image.info.get("Software") or image.info.get("comment")
        if said is None and image.format == "TIFF":
            said = image.tag_v2.get(SOFTWARE)  # type: ignore[attr-defined]
        return said.decode("latin-1") if isinstance(said, bytes) else str(said)
    return None


def _software_of_arrays(path: Path) -> str | None:
    """What a file of arrays says of the program that wrote it, as `_software`."""
    import zipfile

    import numpy as np

    with suppress(Exception), path.open("rb") as file, zipfile.ZipFile(file) as arrays:
        if arrays.getinfo("software.npy").file_size < HEAD:
            with arrays.open("software.npy") as member:
                said = np.lib.format.read_array(member, allow_pickle=False)
            return str(said) if said.ndim == 0 else None
    return None


class Writer:
    """Where one command writes: knows what it must not write over.

    Parameters
    ----------
    inputs
        Files that the command reads: they are not written over, whatever else is allowed.
    force
        Whether files that adaprep did not make may be replaced, as `--force` says.
    """

    def __init__(self, inputs: Iterable[Path | None] = (), force: bool = False) -> None:
        self.inputs = [path for path in inputs if path is not None]
        self.force = force
        self._listed: dict[Path, dict[str, Info | None]] = {}  # folders of object stores

    @cached_property
    def _inputs(self) -> set[Identity]:
        """Every input that is there."""
        return {identity for path in self.inputs if (identity := _identity(path)) is not None}

    def check(self, path: Path, ours: bool | None = None) -> None:
        """Refuse a file before any work is done for it.

        Parameters
        ----------
        ours
            Whether adaprep made it, where that is known otherwise than by its own mark.

        Raises
        ------
        AdaprepError
            It is an input, was not made by adaprep, is no file, or cannot be written.
        """
        check_place(path)
        if (mode := self._mode(path)) is None:
            return
        if stat.S_ISDIR(mode):
            raise AdaprepError(f"cannot write {path}: that is a folder. Give the name of a file.")
        if _identity(path) in self._inputs:
            raise AdaprepError(f"{path} is read by this command and not written over: choose another name.")
        if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
            raise AdaprepError(f"cannot write {path}: it is a device or a pipe, not a file.")
        if not (self.force or (is_ours(path) if ours is None else ours and not path.is_symlink())):
            raise AdaprepError(
                f"{path} is there already, and adaprep did not make it: choose another name, or replace it "
                f"with --force."
            )

    def _mode(self, path: Path) -> int | None:
        """What is at a path, as the system says it; None where nothing is."""
        if isinstance(path, StoredPath):
            if path.parent not in self._listed:
                self._listed[path.parent] = path.parent.entries()
            if (about := self._listed[path.parent].get(path.name)) is None:
                return None
            return stat.S_IFDIR if about.is_folder else stat.S_IFREG
        if not os.path.lexists(path):
            return None
        try:
            return path.stat().st_mode
        except OSError:  # a link to nothing: the link would be replaced, which is the user's
            return os.lstat(path).st_mode

    @contextmanager
    def replacing(self, path: Path, ours: bool | None = None) -> Iterator[Path]:
        """Yield a path beside `path` to write to, as `disk.replacing`; checked again at the end.

        Raises
        ------
        AdaprepError
            As `check`; or the disk refuses.
        """
        try:
            with disk.replacing(path) as partial:
                yield partial
                self.check(path, ours)
        except OSError as error:
            raise AdaprepError(
                f"cannot write {path}: {error.strerror or error}. Make room, or give another folder to -o."
            ) from error


def check_place(path: Path) -> None:
    """Raise AdaprepError where no file can be at this path: its folder is a file, or may not be written."""
    if isinstance(path, StoredPath):
        if not path.is_remote:
            raise AdaprepError(f"cannot write {path}: archives are only read. Give another folder to -o.")
        return
    try:
        parent = next(p for p in path.absolute().parents if os.path.lexists(p))
        exists = parent.is_dir()
    except (OSError, ValueError) as error:
        raise AdaprepError(f"cannot write {printable(str(path))}: {error}. Choose another name.") from error
    if not exists:
        raise AdaprepError(
            f"cannot write {path}: {parent} is not a folder: choose a name, or give another folder to -o."
        )
    if not os.access(parent, os.W_OK | os.X_OK):
        raise AdaprepError(f"may not write {path}: no permission in {parent}. Choose a folder of your own.")
    if len(os.fsencode(path.name)) > 255 - len(f".{os.getpid()}.partial"):
        raise AdaprepError(f"cannot write {path}: the name is too long. Choose a shorter one.")


Identity = tuple[int, int] | str
"""Of a file, by which it is known under every name: device and number, or its address in an object store."""


def _identity(source: Path) -> Identity | None:
    """What a file is known by; None where there is none."""
    if is_address(source):
        return str(source)
    if isinstance(source, StoredPath):
        if (archive := archives.holder(str(source))) is None:
            return None
        source = Path(archive)
    try:
        found = source.stat()
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def mark_folder(folder: Path) -> None:
    """Mark a folder as one of a report before anything is written to it."""
    disk.write_text(
        folder / FOLDER_MARK, "This folder is written by `adaprep report`, which replaces its files.\n"
    )


def is_our_folder(folder: Path) -> bool:
    """Whether a folder is one of a report: it bears the mark, or its page does."""
    return (folder / FOLDER_MARK).is_file() or is_ours(folder / "index.html")
