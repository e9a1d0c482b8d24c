"""The stage `solve-tensors`: boundary stores in, sampling tensors out. No label map is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AdaprepError
from pipeline.stages import engine, fitness
from pipeline.stages.engine import BlockResult
from pipeline.stages.frame import describe_crops
from pipeline.stages.plan import Estimate, Plan, make_plan, stale_sources
from pipeline.units import several
from pipeline.workspace import room, stores


@dataclass(frozen=True)
class TensorOptions:
    """What shapes one tensor store. `grid` and `crops` default to the boundary store's own."""

    lam: float = 1.0
    grid: tuple[int, int] | None = None
    crops: int | None = None


@dataclass(frozen=True)
class Solved:
    """Sampling tensors of a block of images, n images by K crops."""

    phi: NDArray[np.float32]  # (n, K, 2, h, w)
    data: NDArray[np.float64]  # (n, K) first term of energy (2), before phi was rounded
    smoothness: NDArray[np.float64]  # (n, K) second term, without lambda
    folded: NDArray[np.int32]  # (n, K) folded cells of phi as stored


def solve_block(b: NDArray[np.float64], has_boundary: NDArray[np.bool_], lam: float) -> Solved:
    """Minimise energy (2) for every crop; crops without a boundary get the uniform tensor.

    Parameters
    ----------
    b
        (n, K, 2, h, w) nearest boundaries; what stands where `has_boundary` is false is not looked at.
    has_boundary
        (n, K).
    """
    from pipeline.geometry.energy import terms
    from pipeline.geometry.proposal import of_many
    from pipeline.geometry.tensors import folded_cells

    phi, pull = of_many(b, has_boundary, lam)
    data, smoothness = terms(phi, pull)
    stored = phi.astype(np.float32)
    folded = folded_cells(stored.astype(np.float64)).sum(axis=(-2, -1)).astype(np.int32)
    return Solved(stored, np.asarray(data), np.asarray(smoothness), folded)


def arrays(crops: int, grid: tuple[int, int]) -> dict[str, stores.ArraySpec]:
    """The arrays of a tensor store."""
    return {
        "phi": stores.ArraySpec(
            (crops, 2, *grid),
            "float32",
            doc="sampling tensor phi~ of each crop, [0,1] (vertical, horizontal)",
        ),
        "b": stores.ArraySpec(
            (crops, 2, *grid), "float64", np.nan, doc="nearest boundary at this grid; NaN: no boundary"
        ),
        "has_boundary": stores.ArraySpec((crops,), "bool", doc="false: phi is the uniform tensor"),
        "data": stores.ArraySpec((crops,), "float64", doc="first term of energy (2): sum |phi - b|^2"),
        "smoothness": stores.ArraySpec(
            (crops,), "float64", doc="second term of energy (2) without lambda, each pair once"
        ),
        "folded": stores.ArraySpec((crops,), "int32", doc="folded cells"),
        "source": stores.ArraySpec((2,), "uint64", doc="as in the boundary store this was solved from"),
        "status": stores.ArraySpec((), "uint8", doc="0 to do, 1 done, 2 failed (no boundaries to solve)"),
    }


def plan(folder: stores.SplitFolder, options: TensorOptions, overwrite: bool = False) -> Plan:
    """What is left to solve for one split and one lambda; nothing is written.

    Raises
    ------
    AdaprepError
        No boundary store, or a tensor store made with other parameters.
    """
    if not folder.boundaries.exists():
        raise AdaprepError(
            f"{folder.title} has no boundaries to solve from. Run: {folder.boundaries_command()}"
        )
    source = stores.open_store(folder.boundaries, mode="r")
    own_grid = tuple(source.parameters["grid"])
    own_crops = int(source.parameters["crops"])
    grid = options.grid or (int(own_grid[0]), int(own_grid[1]))
    crops = options.crops or own_crops
    path = folder.tensors(grid, options.lam, crops if crops != own_crops else None)
    parameters = {**source.parameters, "grid": list(grid), "crops": crops, "lambda": float(options.lam)}
    todo = make_plan(
        f"tensors of {folder.title}, grid {grid[0]}x{grid[1]}, lambda {stores.lambda_name(options.lam)}",
        path,
        arrays(crops, grid),
        parameters,
        stores.Layout.choose(source.count),
        source.inputs,
        overwrite,
        stale=stale_sources(path, source) if path.exists() and not overwrite else None,
    )
    return todo


@dataclass(frozen=True)
class TensorJob:
    """What every task of a run shares."""

    boundaries: Path
    path: Path
    lam: float


def run_blocks(job: TensorJob, blocks: Sequence[tuple[int, int]]) -> BlockResult:
    """One task: solve the given blocks."""
    source, store = stores.open_in_task(job.boundaries, mode="r"), stores.open_in_task(job.path)
    folded = 0
    for start, stop in blocks:
        engine.check_stop()
        folded += _run_block(job, source, store, start, stop)
    count = sum(stop - start for start, stop in blocks)
    return BlockResult(blocks[0][0], blocks[0][0] + count, (), folded)


def _run_block(job: TensorJob, source: stores.Store, store: stores.Store, start: int, stop: int) -> int:
    b, has = nearest_of(source, start, stop, store["b"].shape[1:])
    solved = solve_block(b, has, job.lam)
    store.write_block(
        start,
        {
            "phi": solved.phi,
            "b": b,
            "has_boundary": has,
            "data": solved.data,
            "smoothness": solved.smoothness,
            "folded": solved.folded,
            "source": source["source"][start:stop],
            "status": source["status"][start:stop],
        },
    )
    return int(solved.folded.sum())


def nearest_of(
    source: stores.Store, start: int, stop: int, shape: Sequence[int]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Nearest boundaries (n, K, 2, h, w) and flags (n, K) of a range of images.

    Read where the boundary store has them at this crop count and grid, else found in its packed maps.
    """
    if tuple(source["b"].shape[1:]) == tuple(shape):
        return source["b"][start:stop], source["has_boundary"][start:stop]
    from pipeline.geometry.boundaries import unpack

    crops, grid = int(shape[0]), (int(shape[2]), int(shape[3]))
    b = np.full((stop - start, *shape), np.nan)
    has = np.zeros((stop - start, crops), bool)
    sizes, status = source["size"][start:stop], source["status"][start:stop]
    for low in range(start, stop, source.layout.shard):
        high = min(low + source.layout.shard, stop)
        packed = source["packed"][low:high]
        for i in range(low, high):
            engine.check_stop()
            if status[i - start] == stores.DONE:
                height, width = (int(v) for v in sizes[i - start])
                planes = np.ascontiguousarray(packed[i - low, :, :height, : -(-width // 8)])
                found = unpack(planes, (height, width))
                b[i - start], has[i - start], _ = describe_crops(found, (height, width), grid, crops)
    return b, has


def run(
    folder: stores.SplitFolder,
    todo: Plan,
    scheduler: engine.Scheduler,
    listener: engine.Listener | None = None,
    images_per_task: int | None = None,
) -> engine.Summary:
    """Do what the plan says; blocks whose boundaries are not finished yet are left and named in a note."""
    site = fitness.site(folder.workspace, folder.path, ())
    if todo.todo:
        engine.check(scheduler, site)
    with folder.lock(), todo.opened(scheduler.distributed):
        source = stores.open_store(folder.boundaries, mode="r")
        status = np.zeros(todo.total, np.uint8)
        status[: source.count] = source.status()
        ready = [(i, j) for i, j in todo.todo if (status[i:j] != stores.TODO).all()]
        job = TensorJob(folder.boundaries.resolve(), todo.path.resolve(), float(todo.parameters["lambda"]))
        ready_plan = replace(todo, todo=tuple(ready))
        tasks = [_task(job, blocks) for blocks in ready_plan.tasks(images_per_task)]
        summary = engine.run(tasks, scheduler, todo.title, listener, ready_plan.images, site=site)
    summary.skipped = todo.total - todo.images
    summary.incomplete = bool((status == stores.TODO).any())
    summary.notes = _notes(folder, source, summary)
    return summary


def _task(job: TensorJob, blocks: Sequence[tuple[int, int]]) -> engine.Block:
    numbers = ", ".join(f"{start} to {stop - 1}" for start, stop in blocks)
    return engine.Block(partial(run_blocks, job, blocks), f"images {numbers} of {job.boundaries}")


def _notes(folder: stores.SplitFolder, source: stores.Store, summary: engine.Summary) -> list[str]:
    notes, status = [], source.status()
    if unfinished := int((status == stores.TODO).sum()):
        notes.append(
            f"boundaries of {folder.title} are not finished ({unfinished} of {len(status)} images missing): "
            f"run: {folder.boundaries_command(source.parameters)}   and then this again"
        )
    if failed := int((status == stores.FAILED).sum()):
        notes.append(
            f"{several(failed, 'image')} {'has' if failed == 1 else 'have'} no boundaries: "
            f"{'its file' if failed == 1 else 'their files'} failed, see {folder.failures_command}"
        )
    if folded := sum(int(v) for v in summary.values):
        notes.append(several(folded, "folded cell"))
    return notes


def estimate(folder: stores.SplitFolder, todo: Plan, scheduler: engine.Scheduler) -> Estimate:
    """Time, memory and disk for the rest, from solving one block and throwing the result away."""
    source = stores.open_store(folder.boundaries, mode="r")
    shape = todo.arrays["b"].shape
    seconds = 0.0
    for start, stop in todo.todo[:1]:
        begun = time.perf_counter()
        solve_block(*nearest_of(source, start, stop, shape), float(todo.parameters["lambda"]))
        seconds = (time.perf_counter() - begun) / (stop - start)
    tensor = int(np.prod(shape)) * 8
    block = todo.layout.block * tensor * 12 + source.layout.shard * int(np.prod(source["packed"].shape[1:]))
    return Estimate(
        seconds * todo.images / scheduler.parallel,
        200 * 2**20 + scheduler.parallel * block,
        todo.images * tensor,
        room.free_space(todo.path),
    )
