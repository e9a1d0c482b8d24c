"""`adaprep sample`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.samplers import registry
from pipeline.samplers.base import Wanted
from pipeline.settings import setting

if TYPE_CHECKING:
    from pipeline.stages.engine import Scheduler


@dataclass(frozen=True)
class Options:
    """Options of `adaprep sample`."""

    resolutions: tuple[int, ...] = settings.RESOLUTIONS(flag="--resolution")
    samplers: tuple[str, ...] = setting(
        ("proposal",),
        "Where samples lie; several times for several stores from one decoding.",
        flag="--sampler",
        choices=registry.names(),
        door=True,
    )
    lambdas: tuple[float, ...] = settings.LAMBDAS(help="Lambdas of the proposals, with commas.")
    grid: settings.Grid = settings.GRID(help="Grid of the proposals, rows x columns.")
    checkpoint: Path | None = setting(
        None, "Trained auxiliary network, for --sampler auxiliary.", completes="run"
    )
    inputs: tuple[int, ...] = setting(
        (), "Also the auxiliary network's small uniform images.", flag="--aux-resolution", low=2
    )
    aux_filter: settings.Filter = settings.FILTER()
    filter: settings.Filter = settings.SAMPLE_FILTER()
    crops: int | None = settings.CROPS(help="Another crop count than the boundaries'.")
    dataset: str | None = settings.HELD()
    root: Path | None = settings.MOVED()
    splits: tuple[str, ...] = settings.SPLITS()
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    overwrite: bool = settings.OVERWRITE()
    dry_run: bool = settings.DRY_RUN()
    workspace: Path = settings.WORKSPACE()


@opening.command("sample", Options)
def command(options: Options) -> None:
    """Sample images and label maps into small training sets; every image is decoded once.

    \b
    Examples:
      adaprep sample --resolution 64 --sampler uniform --sampler proposal --aux-resolution 32
      adaprep sample --resolution 64,128 --sampler auxiliary --checkpoint auxiliary.pt --dry-run
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Make or plan the stores; whether every file could be used."""
    with opening.open_scheduler(options.scheduling) as where:
        return _run(options, where)


def _run(options: Options, where: Scheduler) -> bool:
    from pipeline.report import console
    from pipeline.stages import inputs as listing
    from pipeline.stages import samples as stage
    from pipeline.stages.outputs import choose

    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, options.dataset, options.root, not options.dry_run)
    mean = stage.training_mean(space, dataset)
    outputs = choose(
        options.resolutions,
        options.samplers,
        options.lambdas,
        Wanted(
            options.grid,
            checkpoint=opening.weights(options.checkpoint, options.workspace, dataset),
            mean=mean,
        ),
        options.inputs,
        options.aux_filter,
        options.filter,
    )
    ok = True
    for folder in space.folders(dataset, options.splits):
        found = listing.load(folder, options.root)
        plans = stage.plan(folder, outputs, options.overwrite, options.crops)
        if options.dry_run:
            console.print_sample_plans(plans, where, stage.estimate(folder, found, outputs, plans, where))
            continue
        summary = stage.run(folder, found, outputs, plans, where, console.listener())
        console.print_summary(summary, stage.folder_of(folder))
        ok &= summary.ok
    return ok
