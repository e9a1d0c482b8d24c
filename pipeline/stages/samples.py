"""The stage `sample`: full-size images in, small training images out. Every image is decoded once.

A store of samples is one answer to "which points": the uniform grid, the proposals of a lambda, or what an
auxiliary network predicts; and one to "how many": the resolution. The uniform small images that the
auxiliary network itself looks at are one more store.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, Dataset, Frame
from pipeline.errors import AdaprepError, FileError
from pipeline.samplers.base import Grid
from pipeline.stages import engine, fitness, frame_list, remembered
from pipeline.stages.engine import BlockResult
from pipeline.stages.inputs import Inputs
from pipeline.stages.outputs import Output, Sampled, Stored, load_view
from pipeline.stages.plan import Estimate, Plan, make_plan, stale_sources
from pipeline.workspace import room, stores


@dataclass(frozen=True)
class SampleJob:
    """What every task of a run shares."""

    dataset: Dataset
    boundaries: Path
    paths: dict[str, Path]  # sample stores by output
    crops: int
    outputs: tuple[Output, ...]
    tensors: dict[tuple[Grid, float], Path]  # tensor stores by grid and lambda
    status: str  # the command that lists failures


def run_block(job: SampleJob, start: int, frames: Sequence[Frame], names: frozenset[str]) -> BlockResult:
    """One task: the named outputs of one block of images."""
    source = stores.open_in_task(job.boundaries, mode="r")
    status, sources = (source[name][start : start + len(frames)] for name in ("status", "source"))
    proposals = {
        key: stores.open_in_task(path, mode="r")["phi"][start : start + len(frames)]
        for key, path in job.tensors.items()
    }
    failures = []
    outputs = [output for output in job.outputs if output.name in names]
    with ExitStack() as stack:
        blocks = [
            stack.enter_context(
                stores.BlockWriter(stores.open_in_task(job.paths[o.name]), start, len(frames))
            )
            for o in outputs
        ]
        for row, frame in enumerate(frames):
            engine.check_stop()
            try:
                if status[row] != stores.DONE:
                    raise FileError(f"{frame.label}: its boundaries failed; see {job.status}")
                made = _make(job, frame, outputs, {k: v[row] for k, v in proposals.items()})
            except FileError as error:
                failures.append(engine.failed(start + row, frame.name, error))
                for block in blocks:
                    block.put(row, {}, stores.FAILED)
                continue
            for block, values in zip(blocks, made, strict=True):
                block.put(row, {**values, "source": sources[row]})
    return BlockResult(start, start + len(frames), tuple(failures))


def _make(
    job: SampleJob, frame: Frame, outputs: Sequence[Output], proposals: Stored
) -> list[dict[str, NDArray[Any]]]:
    """The arrays of every output for one frame. Raises FileError for whatever its files bring about."""

    def make() -> list[dict[str, NDArray[Any]]]:
        view = load_view(job.dataset, frame, job.crops, proposals)
        return [output.make(view) for output in outputs]

    return engine.try_image(frame.image, make)


def folder_of(folder: stores.SplitFolder) -> Path:
    """Where the sample stores of a split lie."""
    return folder.samples


def plan(
    folder: stores.SplitFolder,
    outputs: Sequence[Output],
    overwrite: bool = False,
    crops: int | None = None,
) -> list[Plan]:
    """What is left to do, one plan per output; nothing is written.

    Parameters
    ----------
    crops
        Per image; None: as many as the boundaries have.

    Raises
    ------
    AdaprepError
        Boundaries or tensors are missing or unfinished, a resolution is below 2, or a store was made
        with other parameters.
    """
    check_boundaries(folder)
    source = stores.open_store(folder.boundaries, mode="r")
    if unfinished := int((source.status() == stores.TODO).sum()):
        raise AdaprepError(
            f"boundaries of {folder.title} are not finished ({unfinished} images missing): "
            f"run: {folder.boundaries_command(source.parameters)}"
        )
    plans = []
    crops = crops or int(source.parameters["crops"])
    other = other_crops(folder, crops)
    for output in outputs:
        if output.resolution < 2:
            raise AdaprepError(f"resolution {output.resolution} is too small: the least is 2")
        if isinstance(output, Sampled):
            for grid, lam in output.sampler.proposals:
                check_tensors(folder, grid, lam, other)
            check_classes(output.sampler.class_names, source)
        specs = {
            **output.arrays(crops),
            "source": stores.ArraySpec((2,), "uint64", doc="as in the boundary store"),
            "status": stores.ArraySpec((), "uint8", doc="0 to do, 1 done, 2 failed"),
        }
        wide = max(int(np.prod(s.shape)) for s in specs.values() if s.chunk_per_image)
        shard = stores.Layout.choose(source.count, wide).shard
        path = folder.sample(output.name, other)
        own = {k: v for k, v in source.parameters.items() if k not in ("grid",)} | {"crops": crops}
        plans.append(
            make_plan(
                f"samples {output.name} of {folder.title}",
                path,
                specs,
                {**own, **output.parameters()},
                stores.Layout(source.layout.block, min(shard, source.layout.block)),
                source.inputs,
                overwrite,
                stale=stale_sources(path, source) if path.exists() and not overwrite else None,
            )
        )
    return plans


def check_classes(names: tuple[str, ...] | None, source: stores.Store) -> None:
    """Raise AdaprepError when a network was trained on other classes than a split has."""
    first: dict[int, str] = {}
    for _, name, train_id in source.parameters["classes"]:
        first.setdefault(train_id, name)
    ours = tuple(first[i] for i in sorted(first) if i != VOID)
    if names is not None and names != ours:
        raise AdaprepError(
            f"the network was trained on {len(names)} classes ({', '.join(names)}), but "
            f"{source.parameters['dataset']} has {len(ours)} ({', '.join(ours)}): train one on these data"
        )


def check_boundaries(folder: stores.SplitFolder) -> None:
    """Raise AdaprepError unless a split has boundaries, be they complete or not."""
    if not folder.boundaries.exists():
        raise AdaprepError(f"{folder.title} has no boundaries yet. Run: {folder.boundaries_command()}")


def other_crops(folder: stores.SplitFolder, crops: int | None) -> int | None:
    """The number of crops where it is not that of the boundaries, which are there: as in names of stores."""
    own = int(stores.open_store(folder.boundaries, mode="r").parameters["crops"])
    return None if crops == own else crops


def check_tensors(folder: stores.SplitFolder, grid: Grid, lam: float, crops: int | None = None) -> None:
    """Raise AdaprepError unless the tensors of a grid and lambda are there, complete and up to date.

    Parameters
    ----------
    crops
        As for `SplitFolder.tensors`.
    """
    check_boundaries(folder)
    path, number = folder.tensors(grid, lam, crops), stores.lambda_name(lam)
    size = f"{grid[0]}x{grid[1]}"
    again = f"Run: {folder.tensors_command(grid, lam, crops)}"
    if not path.exists():
        of = "" if crops is None else f", {crops} crops per image"
        raise AdaprepError(f"{folder.title} has no tensors of grid {size}, lambda {number}{of}. {again}")
    if (stores.open_store(path, mode="r").status() == stores.TODO).any():
        raise AdaprepError(
            f"the tensors of {folder.title}, grid {size}, lambda {number}, are not finished. {again}"
        )
    if stale_sources(path, stores.open_store(folder.boundaries, mode="r")).any():
        raise AdaprepError(
            f"the tensors of {folder.title}, grid {size}, lambda {number}, were solved from label maps that "
            f"have changed since. {again}"
        )


def mean_proposal(folder: stores.SplitFolder, grid: Grid, lam: float) -> NDArray[np.float32]:
    """The mean (2, h, w) of all proposals of a split, over the images that are done, in the store's order.

    Raises
    ------
    AdaprepError
        The tensors are not there, not complete, not up to date, or no image could be used.
    """
    check_tensors(folder, grid, lam)
    store = stores.open_store(folder.tensors(grid, lam), mode="r")
    done, step = store.status() == stores.DONE, store.layout.block
    if not done.any():
        raise AdaprepError(f"no image of {folder.title} has a proposal, so they have no mean")
    total, count = np.zeros((2, *grid)), 0
    for start in range(0, store.count, step):
        part = store["phi"][start : start + step][done[start : start + step]]
        total += part.sum(axis=(0, 1), dtype=np.float64)
        count += part.shape[0] * part.shape[1]
    return (total / count).astype(np.float32)


def training_mean(
    space: stores.Workspace, dataset: str | None
) -> Callable[[Grid, float], NDArray[np.float32]]:
    """`mean_proposal` of the training split that a workspace holds, found when it is asked for."""

    def mean(grid: Grid, lam: float) -> NDArray[np.float32]:
        folders = space.folders(dataset)
        training = remembered.open_dataset(folders[0]).training_splits
        held = [folder for name in training for folder in folders if folder.split == name]
        if not held:
            lacking = space.folder(folders[0].dataset, training[0])
            raise AdaprepError(
                f"the mean of the training proposals is of the split {training[0]}, which the workspace does "
                f"not hold. Run: {lacking.boundaries_command(grid=tuple(grid))}   "
                f"and: {lacking.tensors_command(grid, lam)}"
            )
        return mean_proposal(held[0], grid, lam)

    return mean


def run(
    folder: stores.SplitFolder,
    found: Inputs,
    outputs: Sequence[Output],
    plans: Sequence[Plan],
    scheduler: engine.Scheduler,
    listener: engine.Listener | None = None,
    again: Callable[[], Sequence[Plan]] | None = None,
) -> engine.Summary:
    """Do what the plans say, all outputs of an image while it is decoded.

    Parameters
    ----------
    again
        Plans once more, now that nobody else writes here: another run may have done a part since.
    """
    check_room(folder, plans)
    if any(todo.images for todo in plans):
        remembered.check_files(found.dataset, found.frames)
    site = fitness.site(folder.workspace, folder.path, [f.image for f in fitness.ends(found.frames)])
    if any(todo.todo for todo in plans):
        engine.check(scheduler, site)
    with folder.lock(), ExitStack() as stack:
        plans = again() if again else plans
        for todo in plans:
            stack.enter_context(todo.opened(scheduler.distributed))
        job = make_job(folder, found.dataset, outputs, plans)
        tasks = [
            engine.Block(
                partial(run_block, job, start, found.frames[start:stop], names),
                engine.listed(frame_list.names(found.frames[start:stop])),
            )
            for (start, stop), names in wanted(outputs, plans).items()
        ]
        images = sum(stop - start for start, stop in wanted(outputs, plans))
        summary = engine.run(tasks, scheduler, f"samples of {folder.title}", listener, images, site=site)
    summary.skipped = len(found) - images
    return summary


def check_room(folder: stores.SplitFolder, plans: Sequence[Plan]) -> None:
    """Raise AdaprepError when the disk has not the room that the samples need, were they incompressible."""
    needed, free = bytes_needed(plans), room.free_space(folder.path)
    if needed > free:
        raise AdaprepError(
            f"samples of {folder.title} need about {needed / 2**20:.0f} MiB, and the disk of "
            f"{folder.path} has {free / 2**20:.0f} MiB left: make room, or ask for fewer resolutions"
        )


def bytes_needed(plans: Sequence[Plan]) -> int:
    """Bytes of all arrays still to write, uncompressed: pictures hardly compress."""
    return sum(
        todo.images * int(np.prod(spec.shape)) * np.dtype(spec.dtype).itemsize
        for todo in plans
        for spec in todo.arrays.values()
    )


def wanted(outputs: Sequence[Output], plans: Sequence[Plan]) -> dict[tuple[int, int], frozenset[str]]:
    """Unfinished blocks, each with the outputs that need it."""
    blocks: dict[tuple[int, int], frozenset[str]] = {}
    for output, todo in zip(outputs, plans, strict=True):
        for block in todo.todo:
            blocks[block] = blocks.get(block, frozenset()) | {output.name}
    return dict(sorted(blocks.items()))


def make_job(
    folder: stores.SplitFolder, dataset: Dataset, outputs: Sequence[Output], plans: Sequence[Plan]
) -> SampleJob:
    """What the tasks of some outputs and their plans share; these have the same number of crops."""
    crops = int(plans[0].parameters["crops"])
    tensors = {
        key: folder.tensors(*key, other_crops(folder, crops)).resolve()
        for output in outputs
        if isinstance(output, Sampled)
        for key in output.sampler.proposals
    }
    paths = {output.name: todo.path.resolve() for output, todo in zip(outputs, plans, strict=True)}
    source, status = folder.boundaries.resolve(), folder.failures_command
    return SampleJob(dataset, source, paths, crops, tuple(outputs), tensors, status)


def estimate(
    folder: stores.SplitFolder,
    found: Inputs,
    outputs: Sequence[Output],
    plans: Sequence[Plan],
    scheduler: engine.Scheduler,
) -> Estimate:
    """Time, memory and disk for the rest, from sampling three images and throwing the result away."""
    job = make_job(folder, found.dataset, outputs, plans)
    blocks = wanted(outputs, plans)
    images = sum(stop - start for start, stop in blocks)
    indices = [i for start, stop in blocks for i in range(start, stop)]
    seconds = []
    for i in dict.fromkeys(indices[k] for k in np.linspace(0, max(images - 1, 0), 3).astype(int) if images):
        proposals = {key: stores.open_store(path, mode="r")["phi"][i] for key, path in job.tensors.items()}
        begun = time.perf_counter()
        try:
            view = load_view(found.dataset, found.frames[i], job.crops, proposals)
            for output in outputs:
                output.make(view)
        except FileError:
            continue
        seconds.append(time.perf_counter() - begun)
    height, width = found.largest
    shards = sum(
        todo.layout.shard * int(np.prod(s.shape))
        for todo in plans
        for s in todo.arrays.values()
        if s.chunk_per_image
    )
    return Estimate(
        float(np.median(seconds or [0.0])) * images / scheduler.parallel,
        200 * 2**20 + scheduler.parallel * (24 * height * width + 3 * shards),
        bytes_needed(plans),
        room.free_space(folder.path),
    )
