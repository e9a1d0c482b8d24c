"""`adaprep boundaries`."""

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
    """Options of `adaprep boundaries`."""

    data: settings.Data
    splits: tuple[str, ...] = settings.SPLITS()
    limit: int | None = settings.LIMIT()
    grid: settings.Grid = settings.GRID(help="Size of the sampling tensor.")
    crops: int | None = settings.CROPS(
        help="Square crops per image. Default: 5 of training splits, 1 elsewhere."
    )
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    block_size: int | None = settings.BLOCK_SIZE()
    overwrite: bool = settings.OVERWRITE()
    dry_run: bool = settings.DRY_RUN()
    workspace: Path = settings.WORKSPACE()


@opening.command("boundaries", Options)
def command(options: Options) -> None:
    """Find the target boundaries of every label map, and the nearest one to every grid point.

    Resumes where an earlier run stopped. A file that cannot be used is listed, the rest goes on, and the
    exit status is 1.

    \b
    Examples:
      adaprep boundaries --dataset apolloscape
      adaprep boundaries --dataset cityscapes --split train --targets person,rider --dry-run
      adaprep boundaries --dataset my-data.yaml --workers 8
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Make or plan the stores; whether every file could be used."""
    with opening.open_scheduler(options.scheduling) as where:
        return _run(options, where)


def _run(options: Options, where: Scheduler) -> bool:
    from pipeline.report import console
    from pipeline.stages import boundaries as stage
    from pipeline.stages.inputs import listed_splits

    data = opening.open_dataset(options.data, options.workspace)
    space, shape = (
        opening.open_workspace(options.workspace),
        stage.BoundaryOptions(options.grid, options.crops),
    )
    ok = True
    for split, frames in listed_splits(data, options.splits).items():
        folder = space.folder(data.name, split)
        found, todo = stage.prepare(folder, data, split, shape, options.overwrite, options.limit, frames)
        if options.dry_run:
            console.print_plan(todo, where, options.block_size, stage.estimate(found, todo, where))
            continue
        summary = stage.run(folder, found, todo, where, console.listener(), options.block_size)
        console.print_summary(summary, folder.boundaries)
        ok &= summary.ok
    return ok


def state(options: Options) -> State:
    """What is there of the stores. Raises AdaprepError where they were made otherwise."""
    from pipeline.stages import boundaries as stage
    from pipeline.stages.inputs import listed_splits

    data = opening.open_dataset(options.data, options.workspace)
    space, shape = (
        opening.open_workspace(options.workspace),
        stage.BoundaryOptions(options.grid, options.crops),
    )
    states: set[State] = set()
    for split, frames in listed_splits(data, options.splits).items():
        _, todo = stage.prepare(
            space.folder(data.name, split), data, split, shape, limit=options.limit, frames=frames
        )
        states.add("begun" if todo.relisted else of_plan(todo.images, todo.action))
    return together(states)
