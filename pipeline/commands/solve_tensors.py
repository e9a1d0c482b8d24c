"""`adaprep solve-tensors`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import State, finish, of_plan, together

if TYPE_CHECKING:
    from pipeline.stages.engine import Scheduler


@dataclass(frozen=True)
class Options:
    """Options of `adaprep solve-tensors`."""

    lambdas: tuple[float, ...] = settings.LAMBDAS()
    grid: settings.Grid | None = settings.GRID(
        default=None, help="Another grid than the boundaries were made for; reads no label map."
    )
    crops: int | None = settings.CROPS(help="Another crop count than the boundaries'.")
    dataset: str | None = settings.HELD()
    splits: tuple[str, ...] = settings.SPLITS()
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    block_size: int | None = settings.BLOCK_SIZE()
    overwrite: bool = settings.OVERWRITE()
    dry_run: bool = settings.DRY_RUN()
    workspace: Path = settings.WORKSPACE()


@opening.command("solve-tensors", Options)
def command(options: Options) -> None:
    """Compute sampling tensors from nearest boundaries (Eq. 2).

    Reads the stores that `adaprep boundaries` made and no label map.

    \b
    Examples:
      adaprep solve-tensors --lambda 1
      adaprep solve-tensors --lambda 0.1,1,10 --grid 16x16
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Make or plan the stores; whether every image could be used."""
    with opening.open_scheduler(options.scheduling) as where:
        return _run(options, where)


def _run(options: Options, where: Scheduler) -> bool:
    from pipeline.report import console
    from pipeline.stages import tensors as stage

    space = opening.open_workspace(options.workspace)
    ok = True
    dataset = opening.in_workspace(space, options.dataset)
    for folder in space.folders(dataset, options.splits):
        for lam in options.lambdas:
            todo = stage.plan(
                folder, stage.TensorOptions(lam, options.grid, options.crops), options.overwrite
            )
            if options.dry_run:
                console.print_plan(todo, where, options.block_size, stage.estimate(folder, todo, where))
                continue
            summary = stage.run(folder, todo, where, console.listener(), options.block_size)
            console.print_summary(summary, todo.path)
            ok &= summary.ok
    return ok


def state(options: Options) -> State:
    """What is there of the stores. Raises AdaprepError where they were made otherwise."""
    from pipeline.stages import tensors as stage

    states: set[State] = set()
    space = opening.open_workspace(options.workspace)
    for folder in space.folders(opening.in_workspace(space, options.dataset), options.splits):
        for lam in options.lambdas:
            todo = stage.plan(folder, stage.TensorOptions(lam, options.grid, options.crops))
            states.add(of_plan(todo.images, todo.action))
    return together(states)
