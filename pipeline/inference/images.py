"""Which images a command labels: files, folders, patterns, videos as folders of frames; and their names."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.datasets.files import walk
from pipeline.datasets.pairs import IMAGES
from pipeline.errors import AdaprepError
from pipeline.names import printable

VIDEOS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv")

NUMBERS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class NamedImage:
    """One image, and what its results are called."""

    image: Path
    name: str  # relative, with '/', without a suffix
    folder: Path | None = None  # the one it was found in; None where it was named itself


def natural(name: str) -> tuple[tuple[str | int, ...], ...]:
    """Sorts paths as people count: ``2.jpg`` before ``10.jpg``, folder by folder."""
    return tuple(
        tuple(int(part) if k % 2 else part.casefold() for k, part in enumerate(NUMBERS.split(piece)))
        for piece in name.split("/")
    )


def collect(arguments: Sequence[Path], leave_out: Sequence[Path] = ()) -> list[NamedImage]:
    """The images that files, folders and patterns mean; each once.

    A folder stands for all images below it, in natural order. Results of a single folder are called as the
    images are below it; those of one folder among several arguments begin with that folder's name. A file
    that does not exist is kept: reading it says so.

    Parameters
    ----------
    leave_out
        Folders that are not looked into: those of earlier results.

    Raises
    ------
    AdaprepError
        A pattern or a folder holds no image, a folder may not be listed, or a file is a video.
    """
    every = list(dict.fromkeys(path for argument in arguments for path in _expanded(argument)))
    folders = [path for path in every if path.is_dir()]
    prefixes = dict(zip(folders, _tails(folders) if len(every) > 1 else [""], strict=False))
    skipped = [path.resolve() for path in leave_out]
    found: dict[Path, NamedImage] = {}
    for path in every:
        if path in prefixes:
            for one in _below(path, prefixes[path], skipped):
                found.setdefault(one.image, one)
        else:
            _refuse_video(path)
            found.setdefault(path, NamedImage(path, path.stem))
    return _apart(list(found.values()))


def _expanded(argument: Path) -> list[Path]:
    """What a pattern matches, in natural order; the argument itself where it is none."""
    text = str(argument)
    if not glob.has_magic(text) or os.path.lexists(argument):
        return [argument]
    matches = sorted(glob.glob(text, recursive=True), key=natural)
    if not matches:
        raise AdaprepError(
            f"nothing matches {printable(text)}: give image files, folders, or another pattern."
        )
    return [Path(match) for match in matches]


def _below(folder: Path, prefix: str, skipped: Sequence[Path]) -> Iterator[NamedImage]:
    """The images below a folder."""
    every = [name for name in walk(folder) if not _is_in(folder / name, skipped)]
    images = sorted((name for name in every if name.lower().endswith(IMAGES)), key=lambda n: (natural(n), n))
    if not images:
        raise AdaprepError(f"there are no images in {folder}{_instead(every)}.")
    for name in images:
        stem = str(PurePosixPath(name).with_suffix(""))
        yield NamedImage(folder / name, f"{prefix}/{stem}" if prefix else stem, folder)


def _is_in(path: Path, folders: Sequence[Path]) -> bool:
    if not folders:
        return False
    resolved = path.resolve()
    return any(folder in resolved.parents for folder in folders)


def _instead(names: Sequence[str]) -> str:
    """What a folder without images holds."""
    kinds = Counter(PurePosixPath(name).suffix.lower() or "no suffix" for name in names)
    if any(kind in VIDEOS for kind in kinds):
        return ", but a video: take its frames out into a folder first (ffmpeg -i VIDEO FOLDER/%06d.png)"
    listed = ", ".join(f"{count} x {printable(kind)}" for kind, count in kinds.most_common(3))
    return f" (there is: {listed})" if kinds else ": it is empty"


def _refuse_video(path: Path) -> None:
    if path.suffix.lower() in VIDEOS and path.exists():
        raise AdaprepError(
            f"{path} is a video: take its frames out into a folder first (ffmpeg -i VIDEO FOLDER/%06d.png), "
            f"and give that folder."
        )


def _tails(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the folders' paths that tell them apart."""
    parts = [folder.resolve().parts[1:] for folder in folders]
    for length in range(1, max(map(len, parts), default=0) + 1):
        tails = ["/".join(part[-length:]) for part in parts]
        if len(set(tails)) == len(tails):
            return tails
    return ["" for _ in folders]


def _apart(found: Sequence[NamedImage]) -> list[NamedImage]:
    """Images of one folder that differ in their suffixes alone: these become part of their names."""
    counts = Counter(one.name for one in found if one.folder)
    return [
        replace(one, name=f"{one.name}-{one.image.suffix[1:]}")
        if one.folder and counts[one.name] > 1
        else one
        for one in found
    ]
