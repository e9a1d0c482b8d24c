"""Which frames a run works on: listed once, measured once, kept in the workspace."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import disk, stores
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import engine

UNUSUAL_SIDE = 4096
"""Label maps with a longer side, and twice as long as that of most, are read before a store is laid out for
them."""

COLUMNS = ("name", "image", "label", "instance", "height", "width")


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
        return ["\t".join(str(p).removeprefix(root) for p in _paths(frame)) for frame in self.frames]

    @property
    def attributes(self) -> dict[str, Any]:
        """What a store remembers of its inputs."""
        return {"count": len(self), "sha256": stores.digest(self.lines)}

    @property
    def largest(self) -> tuple[int, int]:
        """Smallest (height, width) that every readable label map fits in."""
        if not self.sizes.any():
            raise AdaprepError(
                f"{self.dataset.name}/{self.split}: not one of the {len(self)} label maps can be read, "
                f"for example {self.frames[0].label}. See: adaprep check --dataset {self.dataset.name}"
            )
        height, width = self.sizes.max(axis=0)
        return int(height), int(width)

    def first(self, count: int) -> Inputs:
        return replace(self, frames=self.frames[:count], sizes=self.sizes[:count])

    @cached_property
    def table(self) -> str:
        """The text of inputs.tsv."""
        rows = [f"{line}\t{h}\t{w}" for line, (h, w) in zip(self.lines, self.sizes.tolist(), strict=True)]
        return "\n".join(["\t".join(COLUMNS), *rows]) + "\n"

    def is_saved(self, folder: stores.SplitFolder) -> bool:
        """Whether the workspace holds this very list; not so where a size is known only now."""
        return folder.is_listed() and folder.inputs.read_bytes() == self.table.encode()

    def save(self, folder: stores.SplitFolder) -> None:
        """Write dataset.json and inputs.tsv, each whole or not at all."""
        disk.write_text(folder.description, describe_dataset(self.dataset))
        disk.write_text(folder.inputs, self.table)


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
        except AdaprepError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def held_frames(
    workspace: stores.Workspace, splits: Sequence[str], root: Path | None = None, targets: str | None = None
) -> tuple[Dataset, dict[str, list[Frame]]]:
    """The data set that the workspace holds and its frames by split."""
    found = [load(folder, root) for folder in workspace.folders(None, splits)]
    dataset = found[0].dataset
    if targets:
        dataset.classes = dataset.classes.with_targets(targets.split(","))
    return dataset, {part.split: list(part.frames) for part in found}


def describe_dataset(dataset: Dataset) -> str:
    """JSON that `open_dataset` makes the data set of again."""
    return disk.json_text(
        {
            "dataset": getattr(dataset, "source", dataset.name),
            "root": str(dataset.root),
            "settings": dataset.settings(),
            "targets": [dataset.classes.names[t] for t in dataset.classes.targets],
        }
    )


def open_dataset(folder: stores.SplitFolder, root: Path | None = None) -> Dataset:
    """The data set that a workspace folder was made from; `root` when the data have moved since."""
    from pipeline.datasets import registry

    about = disk.read_json(folder.description)
    return registry.load(
        about["dataset"], root or Path(about["root"]), targets=about["targets"], **about["settings"]
    )


def load(folder: stores.SplitFolder, root: Path | None = None) -> Inputs:
    """The inputs as kept in the workspace, without looking at the data set's folders.

    Raises
    ------
    AdaprepError
        The list is absent or damaged.
    """
    dataset = open_dataset(folder, root)
    try:
        rows = [line.split("\t") for line in folder.inputs.read_text(encoding="utf-8").splitlines()]
        if tuple(rows[0]) != COLUMNS:
            raise ValueError(f"the first line is not {COLUMNS}")
        frames = tuple(
            Frame(
                name,
                dataset.root / image,
                dataset.root / label,
                dataset.root / instance if instance else None,
            )
            for name, image, label, instance, _, _ in rows[1:]
        )
        sizes = np.array([[int(h), int(w)] for *_, h, w in rows[1:]], np.int32).reshape(-1, 2)
    except (OSError, ValueError, IndexError) as error:
        raise AdaprepError(
            f"cannot read the input list {folder.inputs}: {error}. Run adaprep boundaries again."
        ) from error
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
    if bad := [f for f in frames if any(c in "".join(_paths(f)) for c in "\t\n\r")]:
        raise AdaprepError(
            f"file names with tabs or line breaks cannot be listed: {str(bad[0].label)!r}. Rename them."
        )
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
        height, width = dataset.read_labels(frame).shape
    except FileError:
        return 0, 0
    return height, width


def _size(dataset: Dataset, frame: Frame) -> tuple[int, int]:
    try:
        with engine.one_image(frame.label):
            return dataset.label_size(frame)
    except FileError:
        return 0, 0


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
