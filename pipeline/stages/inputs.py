"""Which frames a run works on: listed once, measured once, kept in the workspace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
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
from pipeline.stages.frame_list import FrameList, line_of, listed, opened
from pipeline.stages.input_list import MAX_SIDE, formatted
from pipeline.stages.remembered import describe, open_dataset, repair
from pipeline.units import several
from pipeline.workspace import disk, stores

UNUSUAL_SIDE = 4096
"""Label maps with a longer side, and twice as long as that of most, are read before a store is laid out for
them."""

WIDE = 32 * 2**20
"""Bytes of one packed boundary map from which on an image may be too large for its split."""

WIDEST = 2**31 - 1
"""Bytes of one packed boundary map that no chunk of a store can hold more of."""

HEADERS = 4096
"""Label maps whose headers are waited for at once."""

FAR = 16
"""How many times the usual number of pixels is far more than that."""


@dataclass(frozen=True)
class Inputs:
    """The frames of one split and the sizes of their label maps."""

    dataset: Dataset
    split: str
    frames: Sequence[Frame]
    sizes: NDArray[np.int32]  # (N, 2) height, width; 0, 0 where the header could not be read

    def __len__(self) -> int:
        return len(self.frames)

    def lines(self) -> Iterator[str]:
        """One line a frame, paths relative to the root where they lie in it: what the fingerprint covers."""
        if isinstance(self.frames, FrameList):
            return self.frames.lines()
        return (line_of(frame, self.dataset.root) for frame in self.frames)

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """What a store remembers of its inputs."""
        known = self.frames.sha256 if isinstance(self.frames, FrameList) else stores.digest(self.lines())
        return {"count": len(self), "sha256": known}

    @cached_property
    def oversized(self) -> NDArray[np.bool_]:
        """(N,) images so much larger than most that a store with room for them would be absurd."""
        tallest, widest = (int(side) for side in self.sizes.max(axis=0, initial=0))
        if 2 * tallest * -(-widest // 8) <= WIDE:
            return np.zeros(len(self), bool)
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
                f"{self.frames[int(i)].label}: {self.sizes[i, 1]} x {self.sizes[i, 0]} pixels, far more than "
                f"the {width} x {height} that the rest of {self.dataset.name}/{self.split} fit in, so the "
                f"store has no room for it. Take it out, or put it into a split of its own."
            )
            for i in np.flatnonzero((self.sizes > [height, width]).any(axis=1))
        }

    def first(self, count: int) -> Inputs:
        """The first so many frames."""
        if count >= len(self):
            return self
        return replace(self, frames=self.frames[:count], sizes=self.sizes[:count])

    def begins_as(self, stored: Mapping[str, Any]) -> bool:
        """Whether a store with these attributes was made from the beginning of this list."""
        count = int(stored["count"])
        return len(self) >= count and bool(self.first(count).attributes["sha256"] == stored["sha256"])

    def save(self, folder: stores.SplitFolder) -> None:
        """Write dataset.json and inputs.tsv and a second copy of each, whole or not at all."""
        description = describe(self.dataset, folder.workspace)
        for about, place in _places(folder):
            disk.write_text(about, description)
            disk.write_lines(place, formatted(self.lines(), self.sizes))

    def is_saved(self, folder: stores.SplitFolder) -> bool:
        """Whether all that `save` would write is there."""
        description = describe(self.dataset, folder.workspace).encode()
        try:
            return (
                all(about.read_bytes() == description for about, _ in _places(folder))
                and disk.holds(folder.inputs, formatted(self.lines(), self.sizes))
                and disk.same_content(folder.inputs, folder.second_inputs)
            )
        except OSError:
            return False

    def kept_in(self, folder: stores.SplitFolder) -> Inputs:
        """The same, once it is saved there, so that other processes find the frames in that file."""
        return replace(self, frames=opened(folder.inputs, self.dataset.root)[0].first(len(self)))


def _places(folder: stores.SplitFolder) -> list[tuple[Path, Path]]:
    """Where the description and the list are kept, each copy."""
    spare = folder.spare / folder.description.name, folder.spare / folder.inputs.name
    return [spare, (folder.description, folder.inputs)]


def existing_splits(dataset: Dataset, wanted: Sequence[str]) -> list[str]:
    """The splits asked for; by default those of train and val that the data set has here, else all.

    Raises
    ------
    AdaprepError
        A split asked for does not exist, or nothing is there at all.
    """
    return list(listed_splits(dataset, wanted))


def listed_splits(dataset: Dataset, wanted: Sequence[str]) -> dict[str, FrameList | None]:
    """`existing_splits`, with their frames where these had to be listed to know."""
    if wanted:
        for split in wanted:
            dataset.check_split(split)
        return dict.fromkeys(wanted)
    usual: list[str] = [s for s in ("train", "val") if s in dataset.splits] or list(dataset.splits)
    errors: list[AdaprepError] = []
    found: dict[str, FrameList | None] = {}
    for split in usual:
        try:
            found[split] = listed(dataset, split)
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
        frames, sizes = opened(path, dataset.root)
    except (OSError, ValueError) as error:
        raise AdaprepError(f"cannot read the input list {path}: {error}. {repair(folder)}") from error
    return Inputs(dataset, folder.split, frames, sizes)


def list_inputs(
    dataset: Dataset,
    split: str,
    limit: int | None = None,
    known: Inputs | None = None,
    progress: Callable[[int, int], None] | None = None,
    frames: FrameList | None = None,
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
    frames
        All of the split's, where they have been listed.
    """
    frames = listed(dataset, split, limit) if frames is None else frames.first(limit)
    if known is None:
        sizes = np.zeros((len(frames), 2), np.int32)
    elif (same := _same(frames, known)) == len(frames) == len(known) and isinstance(known.frames, FrameList):
        frames, sizes = known.frames, known.sizes.copy()
    else:
        sizes = _known_sizes(frames, known, same)
    missing = sizes[:, 0] == 0
    _read_sizes(dataset, frames, sizes, progress)
    for i in _outsized(sizes):
        if missing[i]:
            sizes[i] = _proven_size(dataset, frames[i])
    return Inputs(dataset, split, frames, sizes)


def _same(frames: FrameList, known: Inputs) -> int:
    """How many frames an earlier list begins with alike."""
    pairs = enumerate(zip(frames.lines(), known.lines(), strict=False))
    return next((i for i, (ours, theirs) in pairs if ours != theirs), min(len(frames), len(known)))


def _known_sizes(frames: FrameList, known: Inputs, same: int) -> NDArray[np.int32]:
    """(N, 2) sizes of the frames that an earlier list has, by label map; 0, 0 of others."""
    sizes = np.zeros((len(frames), 2), np.int32)
    sizes[:same] = known.sizes[:same]
    if same < min(len(frames), len(known)):  # images were put in or taken out
        by_label = {
            frame.label: size for frame, size in zip(known.frames[same:], known.sizes[same:], strict=True)
        }
        sizes[same:] = [by_label.get(frame.label, (0, 0)) for frame in frames[same:]]
    return sizes


def _read_sizes(
    dataset: Dataset,
    frames: FrameList,
    sizes: NDArray[np.int32],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Fill in the sizes (N, 2) that are not known, from the headers of label maps."""
    count, done = int((sizes[:, 0] == 0).sum()), 0
    if not count:
        return
    with ThreadPoolExecutor(min(16, 4 * (os.cpu_count() or 1))) as pool:
        for start in range(0, len(frames), HEADERS):
            missing = np.flatnonzero(sizes[start : start + HEADERS, 0] == 0)
            part = list(frames[start : start + HEADERS]) if len(missing) else []
            read = pool.map(partial(_size, dataset), [part[i] for i in missing])
            for i, size in zip(missing, read, strict=True):
                sizes[start + i] = size
                done += 1
                if progress and (done % 100 == 0 or done == count):
                    progress(done, count)


def _outsized(sizes: NDArray[np.int32]) -> list[int]:
    """Label maps that alone would make the store much larger than the others need."""
    if sizes.max(initial=0) <= UNUSUAL_SIDE:
        return []
    readable = sizes[sizes[:, 0] > 0]
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


def prefix_difference(old: Inputs, new: Inputs) -> str | None:
    """None when one list begins with the other, else a sentence that names the first line that differs."""
    if old.frames is new.frames:
        return None
    for number, (a, b) in enumerate(zip_longest(old.lines(), new.lines()), 1):
        if a is None or b is None:
            return None
        if a != b:
            was, now = next(
                (x, y) for x, y in zip_longest(a.split("\t"), b.split("\t"), fillvalue="") if x != y
            )
            counts = f"{several(len(old), 'image')} in the store, {len(new)} now"
            return f"inputs: {counts}; number {number} was {was}, is {now}"
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
