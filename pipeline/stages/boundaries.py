"""The stage `boundaries`: label maps in; boundary maps, nearest boundaries and counts out."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline import disk, stores
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.stages import engine
from pipeline.stages import inputs as listing
from pipeline.stages.engine import BlockResult, Failure
from pipeline.stages.frame import process_frame, source_of
from pipeline.stages.inputs import Inputs
from pipeline.stages.plan import Estimate, Plan, make_plan


@dataclass(frozen=True)
class Options:
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
class Job:
    """What every task of a run shares; small, since it travels to each of them."""

    dataset: Dataset
    path: Path
    grid: tuple[int, int]
    crops: int


def run_blocks(job: Job, blocks: Sequence[tuple[int, int]], frames: Sequence[Frame]) -> BlockResult:
    """One task: the given blocks, whose frames follow each other in `frames`."""
    store = stores.open_in_task(job.path)
    failures: list[Failure] = []
    first = blocks[0][0]
    position = 0
    for start, stop in blocks:
        part = frames[position : position + stop - start]
        position += len(part)
        failures += _run_block(job, store, start, part)
    return BlockResult(first, first + position, tuple(failures))


def _run_block(job: Job, store: stores.Store, start: int, frames: Sequence[Frame]) -> list[Failure]:
    failures = []
    room = store["packed"].shape[2:]
    with stores.BlockWriter(store, start, len(frames)) as block:
        for row, frame in enumerate(frames):
            engine.check_stop()
            try:
                with engine.one_image(frame.label):
                    found = process_frame(job.dataset, frame, job.grid, job.crops)
                if any(n > most for n, most in zip(found.packed.shape[1:], room, strict=True)):
                    raise FileError(
                        f"{frame.label}: {found.size[1]} x {found.size[0]} is larger than the store was "
                        f"laid out for; run again with --overwrite"
                    )
            except FileError as error:
                failures.append(Failure(start + row, frame.name, str(error)))
                block.put(row, {}, stores.FAILED)
                continue
            names = ("packed", "size", "b", "has_boundary", "pixels", "source")
            block.put(row, {name: np.asarray(getattr(found, name)) for name in names})
    return failures


def parameters(dataset: Dataset, split: str, options: Options) -> dict[str, Any]:
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
    options: Options,
    overwrite: bool = False,
    limit: int | None = None,
) -> tuple[Inputs, Plan]:
    """List one split and plan what is left to do on it; nothing is written.

    With a `limit` below what the store holds already, the store's own list is kept and only its first
    blocks are looked at.

    Raises
    ------
    AdaprepError
        Nothing to read, or the store was made with other parameters (see `make_plan`).
    """
    known = listing.load(folder, dataset.root) if folder.is_listed() else None
    found = listing.list_inputs(dataset, split, limit, known)
    todo = plan(folder, found, options, known, overwrite)
    if known is not None and len(found) < todo.total:
        blocks = tuple(block for block in todo.todo if block[0] < len(found))
        return replace(known, dataset=dataset), replace(todo, todo=blocks)
    return found, todo


def plan(
    folder: stores.SplitFolder,
    found: Inputs,
    options: Options,
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
    difference, stale = None, None
    if folder.boundaries.exists() and not overwrite:
        if known is not None:
            difference = listing.prefix_difference(known.lines, found.lines)
        stale = changed_sources(folder.boundaries, found)
    return make_plan(
        f"boundaries of {folder.title}",
        folder.boundaries,
        specs,
        parameters(dataset, found.split, options),
        stores.Layout.choose(len(found), 2 * height * columns),
        found.attributes,
        overwrite,
        difference,
        stale,
    )


def changed_sources(path: Path, found: Inputs) -> NDArray[np.bool_]:
    """(n,) label files that are not what was read: other size, or newer than the store with other content.

    Deleted files count as unchanged here: what was made of them stays valid.
    """
    store = stores.open_store(path, mode="r")
    known, status = store["source"][:], store.status()
    count = min(len(found), store.count)
    changed = np.zeros(count, bool)
    for start, stop in store.blocks():
        marker = path / "status" / "c" / str(start // store.layout.block)
        if not marker.exists():
            continue
        written = marker.stat().st_mtime
        for i in range(start, min(stop, count)):
            if status[i] == stores.DONE:
                changed[i] = _changed(found.frames[i].label, known[i], written)
    return changed


def _changed(label: Path, known: NDArray[np.uint64], written: float) -> bool:
    try:
        now = label.stat()
    except OSError:
        return False
    if now.st_size != int(known[0]):
        return True
    return now.st_mtime > written and bool((source_of(label) != known).any())


def run(
    folder: stores.SplitFolder,
    found: Inputs,
    todo: Plan,
    scheduler: engine.Scheduler,
    listener: engine.Listener | None = None,
    images_per_task: int | None = None,
) -> engine.Summary:
    """Do what the plan says. Resumable at any moment; raises AdaprepError when it cannot go on at all."""
    with folder.lock():
        if todo.action != "resume" or not found.is_saved(folder):
            found.save(folder)
        todo.open()
        crops = int(todo.parameters["crops"])
        grid = todo.parameters["grid"]
        job = Job(found.dataset, folder.boundaries.resolve(), (int(grid[0]), int(grid[1])), crops)
        tasks = [_task(job, blocks, found) for blocks in todo.tasks(images_per_task)]
        failures: list[Failure] = []

        def note(result: BlockResult) -> None:
            if result.failures:
                failures.extend(result.failures)
                save_failures(folder, "boundaries", failures)

        save_failures(folder, "boundaries", failures)
        summary = engine.run(tasks, scheduler, todo.title, listener, todo.images, note)
        summary.skipped = todo.total - todo.images
        return summary


def _task(job: Job, blocks: Sequence[tuple[int, int]], found: Inputs) -> engine.Block:
    frames = [frame for start, stop in blocks for frame in found.frames[start:stop]]
    return engine.Block(partial(run_blocks, job, blocks, frames), engine.listed([f.name for f in frames]))


def save_failures(folder: stores.SplitFolder, stage: str, failures: Sequence[Failure]) -> None:
    """Keep the reasons beside the store, for `adaprep status`."""
    rows = [
        {"index": f.index, "name": f.name, "reason": f.reason}
        for f in sorted(failures, key=lambda f: f.index)
    ]
    disk.write_json(folder.failures(stage), {"failures": rows})


FRAME_BYTES = 2000
"""Memory for one more image in the list: its paths, and its share of the graph."""


def estimate(found: Inputs, todo: Plan, scheduler: engine.Scheduler) -> Estimate:
    """Time, memory and disk for the rest, from doing one block of it into a folder that is thrown away."""
    seconds, size, images = 0.0, 0, 1
    if todo.todo:
        start, stop = todo.todo[len(todo.todo) // 2]
        grid = (int(todo.parameters["grid"][0]), int(todo.parameters["grid"][1]))
        frames, images = found.frames[start:stop], stop - start
        with tempfile.TemporaryDirectory() as folder:
            trial = Path(folder) / "boundaries.zarr"
            inputs = {"count": images, "sha256": ""}
            stores.create(trial, todo.arrays, todo.parameters, todo.layout, inputs)
            empty = disk.bytes_below(trial)
            job = Job(found.dataset, trial, grid, int(todo.parameters["crops"]))
            _warm_up(job, frames)
            begun = time.perf_counter()
            run_blocks(job, [(0, images)], frames)
            seconds, size = time.perf_counter() - begun, disk.bytes_below(trial) - empty
    packed = int(np.prod(todo.arrays["packed"].shape))
    height, width = found.largest
    return Estimate(
        seconds / images * todo.images / scheduler.parallel,
        200 * 2**20
        + FRAME_BYTES * len(found)
        + scheduler.parallel * (4 * height * width + 3 * todo.layout.shard * packed),
        size * todo.images // images,
        disk.free_space(todo.path),
    )


def _warm_up(job: Job, frames: Sequence[Frame]) -> None:
    """Load compiled code before the clock starts; a frame that cannot be read is met again on the clock."""
    with suppress(FileError):
        process_frame(job.dataset, frames[0], job.grid, job.crops)
