"""What a stage would do and why, before it does anything: resume, refuse, or start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AdaprepError, BusyError
from pipeline.units import several
from pipeline.workspace import stores

COMPARED = 2**16
"""Images whose fingerprints are in memory at once."""


@dataclass(frozen=True)
class Estimate:
    """What a run would take, measured on a few images of this very data set."""

    seconds: float
    memory: int  # bytes, peak of this machine's processes
    disk: int  # bytes, of the blocks still to do
    free: int  # bytes left on the disk of the workspace


@dataclass(frozen=True)
class Plan:
    """One store and what is left to do on it."""

    title: str
    path: Path
    arrays: Mapping[str, stores.ArraySpec]
    parameters: Mapping[str, Any]
    layout: stores.Layout
    inputs: Mapping[str, Any]
    todo: tuple[tuple[int, int], ...]  # image ranges of unfinished blocks
    reasons: tuple[str, ...]
    action: str  # "create", "overwrite", "grow" or "resume"
    # rows of `sources.KeptStamps`, each with its first image: of label files that were read for this plan
    stamps: Sequence[tuple[int, NDArray[np.uint64]]] = field(default=(), compare=False)
    relisted: bool = False  # the list names other folders, and the stores take it up

    @property
    def total(self) -> int:
        return int(self.inputs["count"])

    @property
    def images(self) -> int:
        """Images in the unfinished blocks."""
        return sum(stop - start for start, stop in self.todo)

    def open(self) -> stores.Store:
        """Make the store ready to be written: create it, replace it, lengthen it, or take it as it is.

        Raises
        ------
        BusyError
            It was not there when this was planned, and is now.
        """
        if self.action == "create" and self.path.exists():
            raise BusyError(
                f"{self.title}: another adaprep run made {self.path} meanwhile",
                "Run the same command again.",
            )
        if self.action in ("create", "overwrite"):
            stores.remove(self.path)
            return stores.create(self.path, self.arrays, self.parameters, self.layout, self.inputs)
        store = stores.open_store(self.path)
        if self.todo:
            store.clear_partials()
        return stores.grow(store, self.inputs) if self.action == "grow" else store

    @contextmanager
    def opened(self, distributed: bool) -> Iterator[stores.Store]:
        """As `open`, while tasks write; after it nothing is left half-written.

        Parameters
        ----------
        distributed
            Whether tasks run in other processes, which may be killed while they write.
        """
        store = self.open()
        try:
            yield store
        finally:
            if distributed:
                store.clear_partials()

    def tasks(self, images_per_task: int | None) -> list[list[tuple[int, int]]]:
        """The unfinished blocks, grouped into tasks of at least so many images each (default: one block)."""
        groups: list[list[tuple[int, int]]] = []
        size = 0
        for start, stop in self.todo:
            if not groups or size >= (images_per_task or 1):
                groups.append([])
                size = 0
            groups[-1].append((start, stop))
            size += stop - start
        return groups


def make_plan(
    title: str,
    path: Path,
    arrays: Mapping[str, stores.ArraySpec],
    parameters: Mapping[str, Any],
    layout: stores.Layout,
    inputs: Mapping[str, Any],
    overwrite: bool,
    list_difference: str | None = None,
    stale: NDArray[np.bool_] | None = None,
) -> Plan:
    """Compare what is asked for with what is there.

    Parameters
    ----------
    list_difference
        The sentence of `inputs.prefix_difference`, when the image lists do not agree.
    stale
        (n,) images whose source has changed since they were done.

    Raises
    ------
    AdaprepError
        The store was made with other parameters; each is named with both values.
    """
    common = (title, path, arrays, parameters)
    if not path.exists() or overwrite:
        action = "overwrite" if path.exists() else "create"
        reason = "started again (--overwrite)" if path.exists() else "not there yet"
        count = int(inputs["count"])
        blocks = [(i, min(i + layout.block, count)) for i in range(0, count, layout.block)]
        return Plan(*common, layout, inputs, tuple(blocks), (reason,), action)

    store = stores.open_store(path, mode="r")
    lines = stores.differences(store.parameters, parameters)
    if list_difference:
        lines.append(list_difference)
    elif inputs["count"] == store.count and inputs["sha256"] != store.inputs["sha256"]:
        lines.append("inputs: it was made from another list of images (SHA-256)")
    lines += _too_large(store, arrays)
    if lines:
        listed = "\n".join(f"  {line}" for line in lines)
        raise AdaprepError(
            f"{title}: {path} was made with other parameters:\n{listed}\n"
            f"Use --overwrite to make it again, or keep both with another --workspace."
        )
    count = max(int(inputs["count"]), store.count)
    action = "grow" if count > store.count else "resume"
    status = np.zeros(count, np.uint8)
    status[: store.count] = store.status()
    return Plan(
        *common,
        store.layout,
        inputs if action == "grow" else store.inputs,
        *_unfinished(status, store, stale),
        action,
    )


def _too_large(store: stores.Store, arrays: Mapping[str, stores.ArraySpec]) -> list[str]:
    lines = []
    for name, spec in arrays.items():
        there = tuple(store[name].shape[1:])
        if any(new > old for new, old in zip(spec.shape, there, strict=True)):
            lines.append(f"size of {name} per image: {list(there)} in the store, {list(spec.shape)} needed")
    return lines


def _unfinished(
    status: NDArray[np.uint8], store: stores.Store, stale: NDArray[np.bool_] | None
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    changed = np.zeros(len(status), bool)
    if stale is not None:
        changed[: len(stale)] = stale
    redo = (status != stores.DONE) | changed
    size = store.layout.block
    todo = [(i, min(i + size, len(status))) for i in range(0, len(status), size) if redo[i : i + size].any()]
    reasons = [f"{int((status == stores.DONE).sum())} of {len(status)} done before"]
    if added := len(status) - store.count:
        reasons.append(f"{several(added, 'new image')} in the list")
    if failed := int((status == stores.FAILED).sum()):
        reasons.append(f"{failed} that failed are tried again")
    if touched := int(changed.sum()):
        reasons.append(f"{touched} changed on disk since and are done again")
    return tuple(todo), tuple(reasons)


def stale_sources(path: Path, source: stores.Store) -> NDArray[np.bool_]:
    """(n,) images done in the store at `path` whose boundaries were made again since, from another file."""
    store = stores.open_store(path, mode="r")
    count = min(store.count, source.count)
    stale = store.status()[:count] == stores.DONE
    for start in range(0, count, COMPARED):
        part = slice(start, min(start + COMPARED, count))
        stale[part] &= (store["source"][part] != source["source"][part]).any(axis=1)
    return np.asarray(stale)
