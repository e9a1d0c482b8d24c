"""The files of a folder, as the other modules look at them."""

from __future__ import annotations

import functools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from pipeline.datasets.files import walk
from pipeline.datasets.pairs import IMAGES, LABELS, OTHERS
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.settings import DEFAULT_WORKSPACE

MAPS = LABELS
"""Endings of label maps, in any case."""

SPLIT_WORDS = {
    "train": ("train", "training", "trn", "tr", "learn", "trainset"),
    "val": ("val", "valid", "validation", "valset", "dev", "eval"),
    "test": ("test", "testing", "tst", "ts", "testset"),
}
"""How splits are called by people, by what adaprep calls them."""

MAX_SHOWN_FOLDERS = 12


class Tree:
    """All files below a folder, without those of workspaces, hidden ones, and what desktops add.

    Parameters
    ----------
    root
        The folder.

    Raises
    ------
    AdaprepError
        It is no folder, holds no files, or may not be listed; or a name is not Unicode.
    """

    def __init__(self, root: Path) -> None:
        if not os.path.isdir(root):
            what = "is a file, not a folder" if os.path.exists(root) else "no such folder"
            raise AdaprepError(printable(f"{root}: {what}"))
        self.root = root
        ours = DEFAULT_WORKSPACE.name
        self.files = tuple(sorted(name for name in walk(root) if ours not in name.split("/")))
        if not self.files:
            raise AdaprepError(printable(f"{root}: the folder is empty: no files in it or below it"))
        if bad := next((name for name in self.files if not _is_unicode(name)), None):
            raise AdaprepError(
                printable(
                    f"{root}: the name {bad!r} is not Unicode, and cannot stand in a YAML file: rename it"
                )
            )

    @cached_property
    def present(self) -> frozenset[str]:
        """The files, to be asked whether one is there."""
        return frozenset(self.files)

    @cached_property
    def by_folder(self) -> dict[str, list[str]]:
        """Names of files by the folder that they lie right in, which is "" for the root."""
        found: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            folder, _, name = file.rpartition("/")
            found[folder].append(name)
        return dict(found)

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Files by their last component."""
        found: dict[str, list[str]] = defaultdict(list)
        for file in self.files:
            found[file.rpartition("/")[2]].append(file)
        return dict(found)

    def ending_in(self, *endings: str) -> list[str]:
        """Files with one of these endings, which are given in lower case."""
        return [file for file in self.files if file.lower().endswith(endings)]

    def named(self, *names: str) -> list[str]:
        """Files of these names, given in lower case; those higher up in the tree first."""
        hits = [file for file in self.files if file.rpartition("/")[2].lower() in names]
        return sorted(hits, key=lambda file: (file.count("/"), file))

    def description(self) -> str:
        """Lines that say what is there: counts per folder and ending."""
        lines = []
        for folder, names in list(self.by_folder.items())[:MAX_SHOWN_FOLDERS]:
            lines.append(f"  {folder or '.'}/: {counted(names)}")
        if left := len(self.by_folder) - MAX_SHOWN_FOLDERS:
            lines += [f"  ... and {left} more folders"] * (left > 0)
        return printable("\n".join(lines))


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def counted(names: Iterable[str]) -> str:
    """How many files of each ending."""
    endings = Counter(os.path.splitext(name)[1].lower() or "no ending" for name in names)
    return ", ".join(f"{count} {ending}" for ending, count in endings.most_common(6))


def is_picture(name: str) -> bool:
    """Whether a name ends as those of images that are read do."""
    return name.lower().endswith(IMAGES)


def is_other_picture(name: str) -> bool:
    """Whether a name ends as those of pictures and arrays that are not read do."""
    return name.lower().endswith(OTHERS) and not name.lower().endswith((*IMAGES, *MAPS))


@functools.cache
def split_of(text: str) -> str | None:
    """The split that a folder's or a file's name speaks of: `train2017`, `image_valid`, `Training`."""
    words = "".join(c if c.isalpha() else " " for c in text.lower()).split()
    for split, known in SPLIT_WORDS.items():
        if any(word in known for word in words):
            return split
    return None


def joined(folder: str, name: str) -> str:
    """A path below the root, of a folder below it that may be the root itself."""
    return f"{folder}/{name}" if folder else name
