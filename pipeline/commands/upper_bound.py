"""`adaprep upper-bound`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import State, finish
from pipeline.names import safe_component
from pipeline.screen import print_json, say
from pipeline.settings import setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pipeline.datasets.base import Dataset
    from pipeline.evaluation.upper_bound import BoundReport
    from pipeline.samplers.base import Sampler
    from pipeline.workspace.stores import Workspace


@dataclass(frozen=True)
class Options:
    """Options of `adaprep upper-bound`."""

    held: settings.Held = settings.group(settings.Held)
    limit: int | None = settings.LIMIT()
    resolutions: tuple[int, ...] = settings.RESOLUTIONS(flag="--resolution", default=(32, 64, 128))
    grids: tuple[settings.Grid, ...] = settings.GRID(flag="--grid", default=((8, 8),))
    lambdas: tuple[float, ...] = settings.LAMBDAS()
    auxiliaries: tuple[Path, ...] = setting(
        (),
        "Auxiliary network, a run or a file: also what its tensors keep. May be given several times.",
        flag="--auxiliary",
        completes="run",
        elsewhere=True,
    )
    fixed_warp: bool = setting(
        False,
        "Also measure the fixed warp of every grid and lambda (--sampler mean): the mean of the training "
        "split's proposals.",
    )
    first: Path | None = setting(
        None,
        "Also measure two passes (--sampler twice of evaluate and predict), the first by this base network "
        "of uniform samples: a run or a file.",
        metavar="RUN|FILE",
        completes="run",
        elsewhere=True,
    )
    metrics: tuple[str, ...] = settings.METRICS()
    plot: settings.Picture | None = setting(None, "Draw mIoU against resolution.")
    force: bool = settings.FORCE()
    save: bool = setting(False, "Keep the figures in the workspace, for its report.")
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE()


@opening.command("upper-bound", Options)
def command(options: Options) -> None:
    """Measure how much of the ground truth survives sampling and interpolation, before any training.

    The label maps are sampled, interpolated back, and compared with themselves at the full resolution of
    the central square crop: which lambda, grid and targets suit the data, uniform beside adaptive.

    \b
    Examples:
      adaprep upper-bound --dataset camvid --split val
      adaprep upper-bound --split val --lambda 0.3,1,3 --grid 8x8 --grid 16x16 --plot bound.png
      adaprep upper-bound --split val --auxiliary auxiliary.pt --fixed-warp --first uniform.pt
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Print, keep and draw the bounds; whether every file could be used."""
    from pipeline.evaluation import upper_bound as stage
    from pipeline.marks import Writer
    from pipeline.metrics import registry
    from pipeline.report import bounds, console

    data, frames = opening.open_held(options.held, options.workspace)
    auxiliaries = [
        opening.weights(one, options.workspace, options.held.dataset) for one in options.auxiliaries
    ]
    writer = Writer([*auxiliaries, *opening.files_of(data, chain(*frames.values()))], options.force)
    plots = _plots(options.plot, list(frames)) if options.plot else {}
    for path in plots.values():
        writer.check(path)
    predictors = {}
    if auxiliaries:
        from pipeline.samplers.predicted import load_named

        predictors = load_named(auxiliaries, data.classes.names)
    first = opening.weights(options.first, options.workspace, options.held.dataset)
    passes = _two_passes(options, first, data) if first else {}
    beside = stage.Beside(predictors, passes, _fixed_warps(options, data.name))
    wanted = stage.settings(options.resolutions, options.grids, options.lambdas, beside)
    own = registry.opened(options.metrics, data.classes)
    with opening.open_scheduler(options.scheduling) as where:
        reports = [
            stage.run(data, split, found[: options.limit], wanted, where, console.listener(), beside, own)
            for split, found in frames.items()
        ]
    if options.as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            bounds.print_bounds(report)
    if options.save:
        _keep(options, reports)
    for report in reports:
        if report.split in plots:
            bounds.plot(report, plots[report.split], writer)
            say(f"plot: {plots[report.split]}", err=options.as_json)
    return all(report.ok for report in reports)


def _two_passes(options: Options, first: Path, data: Dataset) -> dict[str, Sampler]:
    """What samples by the labels of a first pass, by what tables call it."""
    import torch

    from pipeline.inference.compared import of_uniform
    from pipeline.inference.systems import open_system, two_passes

    found = of_uniform(first, "--first", data)
    assert found is not None
    coarse = open_system(found, None, torch.device("cpu"))[0]
    targets = data.classes.targets
    pairs = [(grid, lam) for grid in options.grids for lam in options.lambdas]
    samplers = [two_passes(coarse, targets, grid, lam) for grid, lam in pairs]
    return {sampler.describe(): sampler for sampler in samplers}


def _fixed_warps(options: Options, dataset: str) -> dict[str, NDArray[np.float32]]:
    """The mean training proposals, by what tables call them."""
    if not options.fixed_warp:
        return {}
    from pipeline.samplers.mean import Mean
    from pipeline.stages.samples import training_mean

    space = opening.open_workspace(options.workspace)
    mean = training_mean(space, dataset)
    warps = [Mean.of(mean(grid, lam), lam) for grid in options.grids for lam in options.lambdas]
    return {warp.describe(): warp.tensor for warp in warps}


def _keep(options: Options, reports: Sequence[BoundReport]) -> None:
    """Write the figures into the workspace."""
    from pipeline.workspace import results

    space = opening.open_workspace(options.workspace)
    for report in reports:
        kept = space.upper_bound_file(report.dataset.name, report.split)
        results.write(kept, report.as_dict())
        say(f"kept: {kept}", err=options.as_json)


def _plots(plot: Path, splits: Sequence[str]) -> dict[str, Path]:
    """The file of every split's plot: its name ends in that of the split where there are several."""
    if len(splits) == 1:
        return {splits[0]: plot}
    return {split: plot.with_stem(f"{plot.stem}-{safe_component(split)}") for split in splits}


def state(options: Options) -> State:
    """Whether the workspace keeps all these figures, of these images and targets."""
    data, frames = opening.open_held(options.held, options.workspace)
    space = opening.open_workspace(options.workspace)
    there = [_is_kept(options, space, data, split, len(found)) for split, found in frames.items()]
    return "done" if all(there) else "to do"


def _is_kept(options: Options, space: Workspace, data: Dataset, split: str, images: int) -> bool:
    from pipeline.errors import AdaprepError
    from pipeline.evaluation import upper_bound as stage
    from pipeline.workspace import results

    try:
        kept = results.upper_bound(space, data.name, split)
    except AdaprepError:  # damaged: measured again
        return False
    if kept is None or kept["failures"]:
        return False
    targets = [data.classes.names[t] for t in data.classes.targets]
    images = min(images, options.limit) if options.limit else images
    rows = {(row["resolution"], row["sampler"]) for row in kept["settings"]}
    wanted = stage.settings(options.resolutions, options.grids, options.lambdas)
    same = kept["targets"] == targets and kept["images"] == images
    same = same and results.own_metrics(kept["settings"]) >= {*options.metrics}
    return same and {(s.resolution, s.sampler) for s in wanted} <= rows
