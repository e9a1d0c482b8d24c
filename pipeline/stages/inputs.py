"""Which frames a run works on: listed once, measured once, kept in the workspace."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import advice
from pipeline.datasets.base import Dataset, Frame
from pipeline.datasets.missing import MissingFolder
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import engine
from pipeline.stages.input_list import MAX_SIDE, escape, format_list, parse_list
from pipeline.stages.remembered import describe, open_dataset, repair
from pipeline.storage import joined
from pipeline.workspace import disk, stores

UNUSUAL_SIDE = 4096
"""Label maps with a longer side, and twice as long as that of most, are read before a store is laid out for
them."""

WIDE = 32 * 2**20
"""Bytes of one packed boundary map from which on an image may be too large for its split."""

WIDEST = 2**31 - 1
"""Bytes of one packed boundary map that no chunk of a store can hold more of."""

FAR = 16
"""How many times the usual number of pixels is far more than that."""


@dataclass(frozen=True)
class Inputs:
    """The frames of one split and the sizes of their label maps."""

    dataset: Dataset
    split: str
    frames: tuple[Frame, ...]
    sizes: NDArray[np.int32]  # (N, 2) height, width; 0, 0 where the header could not be read

    def __len__(self) -> int:
        return len(self.frames)

    @cached_property
    def lines(self) -> list[str]:
        """One line a frame, paths relative to the root where they lie in it: what the fingerprint covers."""
        root = str(self.dataset.root) + os.sep
        return ["\t".join(escape(str(p).removeprefix(root)) for p in _paths(frame)) for frame in self.frames]

    @property
    def attributes(self) -> dict[str, Any]:
        """What a store remembers of its inputs."""
        return {"count": len(self), "sha256": stores.digest(self.lines)}

    @cached_property
    def oversized(self) -> NDArray[np.bool_]:
        """(N,) images so much larger than most that a store with room for them would be absurd."""
        height, width = self.sizes.astype(np.int64).T
        packed, pixels = 2 * height * -(-width // 8), height * width
        known = np.sort(pixels[pixels > 0])
        usual = int(known[(len(known) - 1) // 2]) if len(known) else 0
        return np.asarray((packed > WIDEST) | (packed > WIDE) & (pixels > FAR * usual))

    @property
    def largest(self) -> tuple[int, int]:
        """Smallest (height, width) that every readable label map fits in, but those that are oversized.

        Raises
        ------
        AdaprepError
            None is left.
        """
        sizes = self.sizes[~self.oversized]
        if not sizes.any():
            some = self.frames[int(np.argmax(self.oversized))].label
            problem = (
                f"for example {some}"
                if not self.oversized.any()
                else f"for example {some} claims more pixels than can be worked on"
            )
            check = advice.command("check", dataset=self.dataset.spelling, split=(self.split,))
            raise AdaprepError(
                f"{self.dataset.name}/{self.split}: not one of the {len(self)} label maps can be read, "
                f"{problem}. See: {check}"
            )
        height, width = sizes.max(axis=0)
        return int(height), int(width)

    def too_large_for(self, height: int, width: int) -> dict[int, str]:
        """What to say of the images that a store with room for (height, width) has no room for."""
        return {
            int(i): (
                f"{self.frames[i].label}: {self.sizes[i, 1]} x {self.sizes[i, 0]} pixels, far more than "
                f"the {width} x {height} that the rest of {self.dataset.name}/{self.split} fit in, so the "
                f"store has no room for it. Take it out, or put it into a split of its own."
            )
            for i in np.flatnonzero((self.sizes > [height, width]).any(axis=1))
        }

    def first(self, count: int) -> Inputs:
        return replace(self, frames=self.frames[:count], sizes=self.sizes[:count])

    def begins_as(self, stored: Mapping[str, Any]) -> bool:
        """Whether a store with these attributes was made from the beginning of this list."""
        count = int(stored["count"])
        return len(self) >= count and stores.digest(self.lines[:count]) == stored["sha256"]

    def save(self, folder: stores.SplitFolder) -> None:
        """Write dataset.json and inputs.tsv and a second copy of each, whole or not at all."""
        for path, text in self._contents(folder).items():
            disk.write_text(path, text)

    def is_saved(self, folder: stores.SplitFolder) -> bool:
        """Whether all that `save` would write is there."""
        try:
            return all(p.read_bytes() == text.encode() for p, text in self._contents(folder).items())
        except OSError:
            return False

    def _contents(self, folder: stores.SplitFolder) -> dict[Path, str]:
        workspace = folder.path.parent.parent
        description, rows = describe(self.dataset, workspace), format_list(self.lines, self.sizes)
        return {
            folder.spare / folder.description.name: description,
            folder.spare / folder.inputs.name: rows,
            folder.description: description,
            folder.inputs: rows,
        }


def _paths(frame: Frame) -> tuple[str, ...]:
    return frame.name, str(frame.image), str(frame.label), str(frame.instance or "")


def existing_splits(dataset: Dataset, wanted: Sequence[str]) -> list[str]:
    """The splits asked for; by default those of train and val that the data set has here, else all.

    Raises
    ------
    AdaprepError
        A split asked for does not exist, or nothing is there at all.
    """
    if wanted:
        for split in wanted:
            dataset.check_split(split)
        return list(dict.fromkeys(wanted))
    usual: list[str] = [s for s in ("train", "val") if s in dataset.splits] or list(dataset.splits)
    errors: list[AdaprepError] = []
    found: list[str] = []
    for split in usual:
        try:
            dataset.frames(split)
            found.append(split)
        except MissingFolder:
            raise
        except AdaprepError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def load(folder: stores.SplitFolder, root: Path | None = None) -> Inputs:
    """The inputs as kept in the workspace, without looking at the data set's folders.

    Raises
    ------
    AdaprepError
        The list is absent or damaged.
    """
    return read_list(folder, open_dataset(folder, root))


def read_list(folder: stores.SplitFolder, dataset: Dataset, kept: Path | None = None) -> Inputs:
    """The list of a split whose data set is open. Raises AdaprepError as `load` does."""
    path = kept or folder.inputs
    try:
        names, sizes = parse_list(path.read_bytes())
    except (OSError, ValueError) as error:
        raise AdaprepError(f"cannot read the input list {path}: {error}. {repair(folder)}") from error
    frames = tuple(
        Frame(
            name,
            joined(dataset.root, image),
            joined(dataset.root, label),
            joined(dataset.root, instance) if instance else None,
        )
        for name, image, label, instance in names
    )
    return Inputs(dataset, folder.split, frames, sizes)


def list_inputs(
    dataset: Dataset,
    split: str,
    limit: int | None = None,
    known: Inputs | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Inputs:
    """List a split and read the size of every label map from its header.

    Parameters
    ----------
    limit
        Only the first so many frames.
    known
        The list of an earlier run: sizes found there are not read again.
    progress
        Called with (headers read, headers in all).
    """
    frames = tuple(dataset.frames(split)[:limit])
    sizes = np.zeros((len(frames), 2), np.int32)
    if known is not None:
        same = {f.label: size for f, size in zip(known.frames, known.sizes, strict=True)}
        sizes[:] = [same.get(f.label, (0, 0)) for f in frames]
    missing = np.flatnonzero(sizes[:, 0] == 0).tolist()
    with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as pool:
        found = pool.map(lambda i: _size(dataset, frames[i]), missing)
        for done, (i, size) in enumerate(zip(missing, found, strict=True), 1):
            sizes[i] = size
            if progress and (done % 100 == 0 or done == len(missing)):
                progress(done, len(missing))
    for i in set(_outsized(sizes)).intersection(missing):
        sizes[i] = _proven_size(dataset, frames[i])
    return Inputs(dataset, split, frames, sizes)


def _outsized(sizes: NDArray[np.int32]) -> list[int]:
    """Label maps that alone would make the store much larger than the others need."""
    readable = sizes[sizes[:, 0] > 0]
    if not len(readable):
        return []
    usual = np.sort(readable, axis=0)[(len(readable) - 1) // 2]
    return [int(i) for i in np.flatnonzero((sizes > np.maximum(2 * usual, UNUSUAL_SIDE)).any(axis=1))]


def _proven_size(dataset: Dataset, frame: Frame) -> tuple[int, int]:
    """The size of a label map once it has been read whole: a header can claim any."""
    try:
        with engine.one_image(frame.label):
            height, width = dataset.read_labels(frame).shape
    except FileError:  # told when it is read, and costs no other
        return 0, 0
    return height, width


def _size(dataset: Dataset, frame: Frame) -> tuple[int, int]:
    try:
        with engine.one_image(frame.label):
            height, width = dataset.label_size(frame)
    except FileError:  # told when it is read, and costs no other
        return 0, 0
    return (height, width) if 0 < height <= MAX_SIDE and 0 < width <= MAX_SIDE else (0, 0)


def prefix_difference(old: Sequence[str], new: Sequence[str]) -> str | None:
    """None when one list begins with the other, else a sentence that names the first line that differs."""
    for number, (a, b) in enumerate(zip_longest(old, new), 1):
        if a is None or b is None:
            return None
        if a != b:
            was, now = next(
                (x, y) for x, y in zip_longest(a.split("\t"), b.split("\t"), fillvalue="") if x != y
            )
            return (
                f"inputs: {len(old)} images in the store, {len(new)} now; number {number} was {was}, is {now}"
            )
    return None


def find_frame(frames: Sequence[Frame], wanted: str) -> Frame:
    """The frame that a number, a path or a part of a name means.

    Raises
    ------
    AdaprepError
        None or several match; the message names some.
    """
    path = Path(wanted)
    hits = [f for f in frames if path.name in (f.image.name, f.label.name, f.image.stem) or f.name == wanted]
    if not hits and wanted.isdecimal() and str(int(wanted)) == wanted and int(wanted) < len(frames):
        return frames[int(wanted)]
    hits = hits if len(hits) == 1 else [f for f in frames if wanted in f.name]
    if len(hits) == 1:
        return hits[0]
    if not hits:
        raise AdaprepError(
            f"no image matches {wanted!r} among {len(frames)}, such as {frames[0].name}. "
            f"Give a part of its name, or its number from 0 to {len(frames) - 1}."
        )
    some = ", ".join(f.name for f in hits[:3])
    raise AdaprepError(f"{wanted!r} matches {len(hits)} images ({some}, ...): give more of the name.")
