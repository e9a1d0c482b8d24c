"""The stage `boundaries`: label maps in; boundary maps, nearest boundaries and counts out."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import engine, fitness, frame_list, relisting, sources
from pipeline.stages import inputs as listing
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.failures import FailureList
from pipeline.stages.frame import FrameBoundaries, process_frame
from pipeline.stages.frame_list import FrameList
from pipeline.stages.inputs import Inputs
from pipeline.stages.plan import Estimate, Plan, make_plan
from pipeline.storage import reading
from pipeline.units import several
from pipeline.workspace import room, stores


@dataclass(frozen=True)
class BoundaryOptions:
    """What shapes the boundary store of one split."""

    grid: tuple[int, int] = (8, 8)
    crops: int | None = None  # None: 5 for training splits, 1 elsewhere

    def crop_count(self, dataset: Dataset, split: str) -> int:
        return self.crops or (5 if split in dataset.training_splits else 1)


def arrays(
    largest: tuple[int, int], crops: int, grid: tuple[int, int], targets: int
) -> dict[str, stores.ArraySpec]:
    """The arrays of a boundary store, for label maps up to `largest` (H, W)."""
    height, width = largest
    return {
        "packed": stores.ArraySpec(
            (2, height, -(-width // 8)),
            "uint8",
            chunk_per_image=True,
            doc="target boundary as two bit planes, see docs/stores.md",
        ),
        "size": stores.ArraySpec((2,), "int32", doc="height and width of the label map, pixels"),
        "b": stores.ArraySpec(
            (crops, 2, *grid),
            "float64",
            np.nan,
            doc="nearest boundary b(u_ij) of each crop, [0,1] (vertical, horizontal); NaN: no boundary",
        ),
        "has_boundary": stores.ArraySpec((crops,), "bool", doc="whether the crop has any target boundary"),
        "pixels": stores.ArraySpec((crops, targets), "int32", doc="boundary pixels a crop and target class"),
        "source": stores.ArraySpec((2,), "uint64", doc="label file: bytes, 64-bit BLAKE2b of the content"),
        "status": stores.ArraySpec((), "uint8", doc="0 to do, 1 done, 2 failed"),
    }


@dataclass(frozen=True)
class BoundaryJob:
    """What every task of a run shares; small, since it travels to each of them."""

    dataset: Dataset
    path: Path
    grid: tuple[int, int]
    crops: int
    oversized: Mapping[int, str] = field(default_factory=dict)  # what to say of images there is no room for


def run_blocks(
    job: BoundaryJob, blocks: Sequence[tuple[int, int]], frames: Sequence[Sequence[Frame]]
) -> BlockResult:
    """One task: the given blocks, each with its frames."""
    store = stores.open_in_task(job.path)
    failures: list[Failure] = []
    stamps = []
    for (start, _), part in zip(blocks, frames, strict=True):
        failed, rows = _run_block(job, store, start, part)
        failures += failed
        stamps.append((start, rows))
    first = blocks[0][0]
    return BlockResult(first, first + sum(map(len, frames)), tuple(failures), stamps)


def _run_block(
    job: BoundaryJob, store: stores.Store, start: int, frames: Sequence[Frame]
) -> tuple[list[Failure], sources.Stamps]:
    failures = []
    stamps = np.zeros((len(frames), sources.COLUMNS), np.uint64)
    with stores.BlockWriter(store, start, len(frames)) as block:
        for row, frame in enumerate(frames):
            engine.check_stop()
            try:
                with reading():
                    files = job.dataset.label_files(frame)
                    before = sources.stamp(*files)
                    found = _process(job, store, start + row, frame)
                    stamps[row] = sources.with_source(before, files, found.source)
            except FileError as error:
                failures.append(engine.failed(start + row, frame.name, error))
                block.put(row, {}, stores.FAILED)
                continue
            names = ("packed", "size", "b", "has_boundary", "pixels", "source")
            block.put(row, {name: np.asarray(getattr(found, name)) for name in names})
    return failures, stamps


def _process(job: BoundaryJob, store: stores.Store, index: int, frame: Frame) -> FrameBoundaries:
    """One label map. Raises FileError for whatever its file brings about."""
    if index in job.oversized:
        raise FileError(job.oversized[index])
    found = engine.try_image(frame.label, lambda: process_frame(job.dataset, frame, job.grid, job.crops))
    room = store["packed"].shape[2:]
    if any(n > most for n, most in zip(found.packed.shape[1:], room, strict=True)):
        raise FileError(
            f"{frame.label}: {found.size[1]} x {found.size[0]} is larger than the store was "
            f"laid out for; run again with --overwrite"
        )
    return found


def parameters(dataset: Dataset, split: str, options: BoundaryOptions) -> dict[str, Any]:
    """Everything that shapes the store, by name, as plain data."""
    plain: dict[str, Any] = json.loads(
        json.dumps(
            {
                "dataset": dataset.name,
                "split": split,
                "settings": dataset.settings(),
                "classes": dataset.classes.describe(),
                "targets": [dataset.classes.names[t] for t in dataset.classes.targets],
                "grid": options.grid,
                "crops": options.crop_count(dataset, split),
            }
        )
    )
    return plain


def prepare(
    folder: stores.SplitFolder,
    dataset: Dataset,
    split: str,
    options: BoundaryOptions,
    overwrite: bool = False,
    limit: int | None = None,
    frames: FrameList | None = None,
) -> tuple[Inputs, Plan]:
    """List one split and plan what is left to do on it; nothing is written.

    `frames` are all of the split's, where they have been listed. With a `limit` below what the store holds
    already, the store's own list is kept and only its first blocks are looked at.

    Raises
    ------
    AdaprepError
        Nothing to read, or the store was made with other parameters (see `make_plan`).
    """
    store = _stored(folder, overwrite)
    known = None if overwrite else _known(folder, dataset, store)
    found = listing.list_inputs(dataset, split, limit, known, frames=frames)
    if store and known is None and len(found) < store.count:
        whole = listing.list_inputs(dataset, split, frames=frames)
        known = whole.first(store.count) if whole.begins_as(store.inputs) else None
    todo = plan(folder, found, options, known, overwrite)
    if known is not None and len(found) < todo.total:
        blocks = tuple(block for block in todo.todo if block[0] < len(found))
        return replace(known, dataset=dataset), replace(todo, todo=blocks)
    return found, todo


def _stored(folder: stores.SplitFolder, overwrite: bool) -> stores.Store | None:
    """The store that is gone on with, if there is one."""
    if overwrite or not folder.boundaries.exists():
        return None
    return stores.open_store(folder.boundaries, mode="r")


def _known(folder: stores.SplitFolder, dataset: Dataset, store: stores.Store | None) -> Inputs | None:
    """The list that the store was made from, as it was kept; None where it is damaged, or is another."""
    try:
        known = listing.read_list(folder, dataset)
    except AdaprepError:
        return None
    if store is None:
        return known
    height, columns = store["packed"].shape[2:]
    known.sizes[(known.sizes > [height, 8 * columns]).any(axis=1)] = 0  # to be read again
    return known if known.begins_as(store.inputs) else None


def plan(
    folder: stores.SplitFolder,
    found: Inputs,
    options: BoundaryOptions,
    known: Inputs | None = None,
    overwrite: bool = False,
) -> Plan:
    """What is left to do for these inputs; `known` are those that the store was made from."""
    dataset = found.dataset
    if not dataset.classes.targets:
        raise AdaprepError(
            f"{dataset.name} has no target classes, so there are no boundaries to look for. "
            f"Name some: --targets {','.join(dataset.classes.names[:2])}"
        )
    crops = options.crop_count(dataset, found.split)
    specs = arrays(found.largest, crops, options.grid, len(dataset.classes.targets))
    height, columns = specs["packed"].shape[1:]
    difference, stale, relisted = None, None, False
    stamps: Sequence[tuple[int, sources.Stamps]] = ()
    if store := _stored(folder, overwrite):
        difference = _list_difference(store, found, known)
        relisted = difference is not None and relisting.same_files(folder, dataset, found, store)
        if difference is None or relisted:
            difference = None
            kept = sources.KeptStamps(folder)
            stale, stamps = sources.changed(store, dataset, found.frames, kept, engine.cores())
    todo = make_plan(
        f"boundaries of {folder.title}",
        folder.boundaries,
        specs,
        parameters(dataset, found.split, options),
        stores.Layout.choose(len(found), 2 * height * columns),
        store.inputs if store and relisted and len(found) == store.count else found.attributes,
        overwrite,
        difference,
        stale,
    )
    reasons = (*todo.reasons, relisting.REASON) if relisted else todo.reasons
    return replace(todo, stamps=stamps, reasons=reasons, relisted=relisted)


def _list_difference(store: stores.Store, found: Inputs, known: Inputs | None) -> str | None:
    """None when the list begins as the store's, or is the beginning of it; else a sentence."""
    if known is not None:
        return listing.prefix_difference(known, found)
    if found.begins_as(store.inputs):
        return None
    return (
        f"inputs: the {several(len(found), 'image')} now {'is' if len(found) == 1 else 'are'} not the "
        f"{store.count} in the store (SHA-256), and the "
        f"list that names those is damaged or lost"
    )


def run(
    folder: stores.SplitFolder,
    found: Inputs,
    todo: Plan,
    scheduler: engine.Scheduler,
    listener: engine.Listener | None = None,
    images_per_task: int | None = None,
) -> engine.Summary:
    """Do what the plan says. Resumable at any moment; raises AdaprepError when it cannot go on at all."""
    site = fitness.site(folder.workspace, folder.path, [f.label for f in fitness.ends(found.frames)])
    if todo.todo:
        engine.check(scheduler, site)
    with folder.lock():
        if todo.action == "overwrite":
            stores.remove(todo.path)
        if todo.action != "resume" or not found.is_saved(folder):
            found.save(folder)
        if todo.relisted:
            relisting.take_up(folder, found)
        with (
            todo.opened(scheduler.distributed) as store,
            _stamps_kept(folder, todo) as keep,
            FailureList(folder, "boundaries") as failed,
        ):
            if scheduler.distributed:
                found = found.kept_in(folder)
            job = _job(folder, found, todo, store)
            tasks = [_task(job, blocks, found) for blocks in todo.tasks(images_per_task)]

            def note(result: BlockResult) -> None:
                keep(result)
                failed.add(result.failures)

            summary = engine.run(tasks, scheduler, todo.title, listener, todo.images, note, site)
        summary.skipped = todo.total - todo.images
        return summary


def _job(folder: stores.SplitFolder, found: Inputs, todo: Plan, store: stores.Store) -> BoundaryJob:
    height, columns = store["packed"].shape[2:]
    grid, crops = todo.parameters["grid"], int(todo.parameters["crops"])
    oversized = found.too_large_for(height, 8 * columns)
    return BoundaryJob(
        found.dataset, folder.boundaries.resolve(), (int(grid[0]), int(grid[1])), crops, oversized
    )


def _task(job: BoundaryJob, blocks: Sequence[tuple[int, int]], found: Inputs) -> engine.Block:
    parts = [found.frames[start:stop] for start, stop in blocks]
    names = [name for part in parts for name in frame_list.names(part)]
    return engine.Block(partial(run_blocks, job, blocks, parts), engine.listed(names))


@contextmanager
def _stamps_kept(folder: stores.SplitFolder, todo: Plan) -> Iterator[Callable[[BlockResult], None]]:
    """Yield what keeps the stamps of a finished task."""
    kept = sources.KeptStamps(folder)

    def keep(rows: Sequence[tuple[int, sources.Stamps]]) -> None:
        with suppress(AdaprepError):  # a full disk is told by what filled it; nothing depends on stamps
            kept.make_room(todo.total)
            for start, part in rows:
                kept.write(start, part)

    def take(result: BlockResult) -> None:
        keep(result.value)
        result.value.clear()  # results are kept to the end

    keep(todo.stamps)
    try:
        yield take
    finally:
        with suppress(AdaprepError):
            kept.close()


TRIED = 64
"""Images that an estimate is made from, at most."""

FRAME_BYTES = 100
"""Memory for one more image: its size, its status, and its share of the tasks."""


def estimate(found: Inputs, todo: Plan, scheduler: engine.Scheduler) -> Estimate:
    """Time, memory and disk for the rest, from doing one block of it into a folder that is thrown away."""
    seconds, size, images = 0.0, 0, 1
    if todo.todo:
        start, stop = todo.todo[len(todo.todo) // 2]
        stop = min(stop, start + TRIED)
        grid = (int(todo.parameters["grid"][0]), int(todo.parameters["grid"][1]))
        frames, images = found.frames[start:stop], stop - start
        with tempfile.TemporaryDirectory() as folder:
            trial = Path(folder) / "boundaries.zarr"
            inputs = {"count": images, "sha256": ""}
            stores.create(trial, todo.arrays, todo.parameters, todo.layout, inputs)
            empty = room.bytes_below(trial)
            job = BoundaryJob(found.dataset, trial, grid, int(todo.parameters["crops"]))
            _warm_up(job, frames)
            begun = time.perf_counter()
            run_blocks(job, [(0, images)], [frames])
            seconds, size = time.perf_counter() - begun, room.bytes_below(trial) - empty
    packed = int(np.prod(todo.arrays["packed"].shape))
    height, width = found.largest
    return Estimate(
        seconds / images * todo.images / scheduler.parallel,
        200 * 2**20
        + FRAME_BYTES * len(found)
        + scheduler.parallel * (4 * height * width + 3 * todo.layout.shard * packed),
        size * todo.images // images,
        room.free_space(todo.path),
    )


def _warm_up(job: BoundaryJob, frames: Sequence[Frame]) -> None:
    """Load compiled code before the clock starts; a frame that cannot be read is met again on the clock."""
    with suppress(FileError):
        process_frame(job.dataset, frames[0], job.grid, job.crops)
