"""Pairing a folder of images with a folder of label maps by what their names have in common."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipeline.datasets.base import Frame
from pipeline.datasets.files import exists, walk
from pipeline.datasets.ordering import ordered
from pipeline.errors import AdaprepError

IMAGES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
IMAGES += (".ppm", ".pgm", ".pnm", ".gif", ".jp2", ".j2k", ".avif", ".jpe", ".jfif", ".tga", ".pcx", ".sgi")
IMAGES += (".rgb", ".ras", ".qoi", ".dds", ".psd")
LABELS = (".png", ".bmp", ".tif", ".tiff", ".pgm", ".pnm", ".npy")
"""Endings, in any case."""

OTHERS: tuple[str, ...] = (".jxl", ".pbm", ".pam", ".eps", ".ps", ".ico")
OTHERS += (".xcf", ".heic", ".heif", ".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr", ".pfm", ".svg")
OTHERS += (".pdf", ".npy", ".npz", ".mat")
"""Endings of pictures and arrays that are not read: taken where there is nothing else, so that reading them
says what they are."""

ALL = frozenset((*IMAGES, *OTHERS))


@dataclass(frozen=True)
class Pairing:
    """Folders of images and label maps, and how their names differ: what `pair_folders` takes."""

    images: Path
    labels: Path
    instances: Path | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    instance_suffix: str = ""


class PairedFiles(NamedTuple):
    """The files of one frame, relative to their folders, and which of them are there."""

    key: str
    image: str
    label: str
    instance: str
    whole: bool  # both image and label map are there


def pair_folders(
    images: Path,
    labels: Path,
    instances: Path | None = None,
    image_suffix: str = "",
    label_suffix: str = "",
    instance_suffix: str = "",
    label_endings: tuple[str, ...] = LABELS,
) -> list[Frame]:
    """Frames whose image and label map have the same path below their folders, but for suffix and extension.

    An image without a label map is a frame, and so is a label map without an image: the path where the other
    file should be stands in the frame, and reading it says that it is not there.

    Parameters
    ----------
    images, labels, instances
        Folders; searched with all folders below them. They need not exist.
    image_suffix, label_suffix, instance_suffix
        What the names end in beyond what they share: before the extension (`_L`) or with it (`_L.png`).
    label_endings
        Extensions of label maps, in any case.

    Returns
    -------
    Sorted by name.

    Raises
    ------
    AdaprepError
        Two images, or two label maps, would belong to the same frame.
    """
    folders = Pairing(images, labels, instances, image_suffix, label_suffix, instance_suffix)
    return [
        Frame(
            pair.key,
            images / pair.image,
            labels / pair.label,
            instances / pair.instance if instances else None,
        )
        for pair in pairs(folders, label_endings)
    ]


def pairs(folders: Pairing, label_endings: tuple[str, ...] = LABELS) -> Iterator[PairedFiles]:
    """What `pair_folders` makes frames of, in order; however many there are, few are in memory at a time.

    Raises
    ------
    AdaprepError
        As `pair_folders`.
    """
    image = Searched(folders.images, folders.image_suffix, IMAGES)
    label = Searched(folders.labels, folders.label_suffix, label_endings)
    others = [label]
    if folders.instances:
        others.append(Searched(folders.instances, folders.instance_suffix, LABELS))
    image.leave_out(others)
    if label.folder == image.folder:
        label.unreadable_but = image
    for key, ends in _together([image, *others]):
        picture = ends[0] or image.unreadable_of(key, bool(ends[1]))
        drawn = ends[1] or label.unreadable_of(key, bool(ends[0]))
        if picture or drawn:
            mask = key + (ends[2] or others[1].first_end) if len(others) > 1 else ""
            whole = bool(picture and drawn)
            yield PairedFiles(
                key, key + (picture or image.usual_end), key + (drawn or label.first_end), mask, whole
            )


class Searched:
    """A folder, searched once for files whose names end in a suffix and one of some extensions."""

    def __init__(self, folder: Path, suffix: str, extensions: tuple[str, ...]) -> None:
        ends = endings(suffix, extensions)
        self.folder, self.suffix, self.first_end = folder, suffix, ends[0]
        self.stems: dict[str, list[str]] = {}  # by extension in lower case: what stands before it
        for stem, _, extension in (end.rpartition(".") for end in ends):
            self.stems.setdefault(f".{extension}".lower(), []).append(stem)
        self.left_out: list[tuple[str, Searched]] = []
        self.unreadable_but: Searched | None = None  # whose files are not unreadable ones of this
        self.unreadable: dict[str, str] = {}  # key to ending: pictures of kinds that are not read
        self.counts: Counter[str] = Counter()
        self.first_of: dict[str, str] = {}  # ending to the first key that has it
        self.keeps_unreadable = not suffix.lower().endswith((*IMAGES, *OTHERS))

    def leave_out(self, others: Sequence[Searched]) -> None:
        """Leave the files of other searches out that are made in this folder, or below it."""
        for other in others:
            if self.folder in (other.folder, *other.folder.parents):
                below = other.folder.relative_to(self.folder).as_posix()
                self.left_out.append(("" if below == "." else f"{below}/", other))

    def key_of(self, name: str) -> str | None:
        """What is left of a name without suffix and extension; None where it has others."""
        dot = name.rfind(".")
        for stem in self.stems.get(name[dot:].lower(), ()) if dot >= 0 else ():
            if name.endswith(stem, 0, dot):
                return name[: dot - len(stem)]
        return None

    def found(self) -> Iterator[tuple[str, str]]:
        """Key and ending of every file that there is, in order of the keys.

        Raises
        ------
        AdaprepError
            Two files have the same key.
        """
        before: tuple[str, str] | None = None
        for text in ordered(self._texts()):
            key, _, end = text.partition("\0")
            if before and before[0] == key:
                raise AdaprepError(
                    f"two files of the same name in {self.folder}: {key}{before[1]} and {key}{end}. "
                    f"Which of them belongs to the frame {key!r} cannot be told: remove one."
                )
            before = key, end
            yield before

    def _texts(self) -> Iterator[str]:
        """Key, NUL (which no name holds), ending: texts that sort as the keys do."""
        for name in walk(self.folder):
            key = self.key_of(name)
            if any(name.startswith(at) and o.key_of(name[len(at) :]) is not None for at, o in self.left_out):
                continue
            if key is None:
                self._note_unreadable(name)
                continue
            end = name[len(key) :]
            self.counts[end] += 1
            self.first_of[end] = min(self.first_of.get(end, key), key)
            yield f"{key}\0{end}"

    def _note_unreadable(self, name: str) -> None:
        stem, extension = os.path.splitext(name)
        if not self.keeps_unreadable or extension.lower() not in ALL or not stem.endswith(self.suffix):
            return
        if self.unreadable_but is None or self.unreadable_but.key_of(name) is None:
            key = stem.removesuffix(self.suffix)
            end = name[len(key) :]
            self.unreadable[key] = min(self.unreadable.get(key, end), end)

    def unreadable_of(self, key: str, wanted: bool) -> str | None:
        """The ending of a picture of a kind that is not read, if one is wanted and there is one."""
        return self.unreadable.get(key) if wanted else None

    @property
    def usual_end(self) -> str:
        """The ending that most of the files have; to be asked once all have been found."""
        return min(self.counts, key=lambda e: (-self.counts[e], self.first_of[e]), default=self.first_end)


def _together(searches: Sequence[Searched]) -> Iterator[tuple[str, list[str | None]]]:
    """Every key that the first or the second search has found, in order, with its ending in each search."""
    streams = [search.found() for search in searches]
    heads = [next(stream, None) for stream in streams]
    while waiting := [head[0] for head in heads[:2] if head]:
        key = min(waiting)
        ends: list[str | None] = []
        for place, stream in enumerate(streams):
            head = heads[place]
            while head and head[0] < key:
                head = next(stream, None)
            ends.append(head[1] if head and head[0] == key else None)
            heads[place] = next(stream, None) if head and head[0] == key else head
        yield key, ends


def suffix_hint(frames: Iterable[Frame], images: Path, labels: Path) -> str:
    """What to add to the description if label maps are named as their images and something more, or none.

    Of frames none of which has both files: "" where no suffix pairs any.
    """
    keys = {"image": set[str](), "label": set[str]()}
    for frame in frames:
        kind = "image" if exists(frame.image) else "label"
        keys[kind].add(frame.name)
    longer: Counter[tuple[str, str]] = Counter()
    for kind, other, folder in (("label", "image", labels), ("image", "label", images)):
        for key in keys[kind]:
            ends = [key[i:] for i in range(1, len(key)) if key[:i] in keys[other] and "/" not in key[i:]]
            longer.update((kind, end) for end in ends[-1:])
        if longer:
            (kind, end), count = longer.most_common(1)[0]
            files = f"{count} file{'s' if count > 1 else ''}"
            return f"{files} in {folder} end{'' if count > 1 else 's'} in {end}: add {kind}_suffix: {end}"
    return ""


def what_is_there(folder: Path, known: tuple[str, ...]) -> list[str]:
    """A line for messages if a folder holds files, but none with a known ending."""
    counts = Counter(os.path.splitext(name)[1] for name in walk(folder))
    if not counts or any(end.lower() in known for end in counts):
        return []
    some = ", ".join(f"{end or 'no ending'} ({count})" for end, count in counts.most_common(8))
    return [f"({folder} holds files with other endings: {some}; known are {', '.join(known)})"]


def endings(suffix: str, extensions: tuple[str, ...]) -> tuple[str, ...]:
    """What names may end in: a suffix that has an extension, or a suffix with each extension."""
    return (suffix,) if suffix.lower().endswith(extensions) else tuple(suffix + end for end in extensions)
