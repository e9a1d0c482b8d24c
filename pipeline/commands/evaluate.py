"""`adaprep evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import State, finish
from pipeline.networks import need_torch
from pipeline.samplers import feedback
from pipeline.screen import print_json, say
from pipeline.settings import setting

if TYPE_CHECKING:
    from torch import device as Device

    from pipeline.workspace.results import Measurement


@dataclass(frozen=True)
class Options:
    """Options of `adaprep evaluate`."""

    base: Path | None = setting(None, argument=True, metavar="[BASE]", completes="run", elsewhere=True)
    auxiliary: Path | None = setting(
        None,
        "Network that says where BASE is sampled: a run or a file. Default: the one it was trained with.",
        completes="run",
        elsewhere=True,
    )
    baseline: Path | None = setting(
        None,
        "Base network of uniform samples to compare with: a run or a file.",
        completes="run",
        elsewhere=True,
    )
    proposals: bool = setting(False, "Sample with the ground truth's own proposals: a reference.")
    factories: tuple[str, ...] = settings.FACTORIES()
    samplers: tuple[str, ...] = settings.RESAMPLED()
    first: Path | None = settings.FIRST(
        help=settings.FIRST.help.format("--baseline, or BASE at half its resolution")
    )
    whole_image: bool = setting(
        False, "Measure whole images, labelled as predict does, in place of their central squares."
    )
    metrics: tuple[str, ...] = settings.METRICS()
    held: settings.Held = settings.group(settings.Held, splits=("val",))
    limit: int | None = settings.LIMIT()
    overwrite: bool = settings.OVERWRITE(help="Without BASE: measure again what was measured.")
    device: settings.Device = settings.DEVICE()
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE()

    @property
    def code(self) -> tuple[str, ...]:
        """All code of the user's own that may be run."""
        return self.factories + feedback.split(self.samplers)[1]

    @property
    def measurement(self) -> Measurement:
        """What is measured."""
        from pipeline.geometry.crops import CENTRAL, WHOLE
        from pipeline.workspace.results import Measurement

        return Measurement(WHOLE if self.whole_image else CENTRAL, self.metrics)


@opening.command("evaluate", Options)
def command(options: Options) -> None:
    """Score base networks at full resolution: on every image's central square, or on whole images.

    Without BASE: every trained base network in the workspace, uniform beside adaptive, seeds together; what
    is found is kept for adaprep report. With BASE, a run or a checkpoint: that one; with --auxiliary and
    --proposals both are shown. See docs/evaluating.md for what each figure is.

    \b
    Examples:
      adaprep evaluate
      adaprep evaluate --whole-image
      adaprep evaluate base.pt --auxiliary auxiliary.pt --baseline uniform.pt
      adaprep evaluate base.pt --auxiliary auxiliary.pt --proposals --limit 100 --json
      adaprep evaluate base.pt --sampler previous --sampler twice --first uniform.pt --baseline uniform.pt
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Measure and print; whether every file could be used."""
    need_torch()
    from pipeline.train.processes import choose_device

    device = choose_device(options.device)
    return _workspace(options, device) if options.base is None else _checkpoint(options, options.base, device)


def _workspace(options: Options, device: Device) -> bool:
    from pipeline.evaluation import evaluations
    from pipeline.report import console, evaluation

    held = options.held
    resampled = feedback.split(options.samplers)[0]
    if any((options.auxiliary, options.baseline, options.proposals, held.targets, options.limit, resampled)):
        raise click.UsageError(
            "--auxiliary, --baseline, --proposals, --targets, --limit, and --sampler previous or twice go "
            "with BASE, a checkpoint"
        )
    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, held.dataset, held.root)
    every = [
        evaluations.run_all(
            space,
            dataset,
            split,
            device,
            held.root,
            options.overwrite,
            console.listener(),
            options.code,
            options.measurement,
        )
        for split in held.splits
    ]
    if options.as_json:
        print_json([found for one in every for found in one.found])
        for failure in (failure for one in every for failure in one.refused):
            say(f"not evaluated: {failure.name}: {failure.reason}", err=True, needed=True)
    else:
        for one in every:
            evaluation.print_evaluations(one)
    return all(one.ok for one in every)


def _checkpoint(options: Options, base: Path, device: Device) -> bool:
    from pipeline.evaluation import evaluate as stage
    from pipeline.inference.choosing import belonging
    from pipeline.inference.compared import Networks, open_systems
    from pipeline.inference.systems import load_base
    from pipeline.metrics import registry
    from pipeline.report import console, evaluation

    place, dataset = options.workspace, options.held.dataset
    resampled = feedback.split(options.samplers)[0]
    feedback.check_first(resampled, options.first)
    base = opening.weights(base, place, dataset)
    auxiliary, baseline, first = (
        opening.weights(one, place, dataset) for one in (options.auxiliary, options.baseline, options.first)
    )
    data, frames = opening.open_held(options.held, options.workspace)
    behind = auxiliary or belonging(load_base(base), opening.open_workspace(options.workspace))
    if not options.proposals:
        auxiliary = behind
    systems, notes = open_systems(
        data,
        Networks(base, auxiliary, behind, baseline, first),
        options.proposals,
        device,
        options.code,
        resampled,
    )
    region, own = options.measurement.region, registry.opened(options.metrics, data.classes)
    reports = [
        stage.run(data, split, found[: options.limit], systems, notes, console.listener(), region, own)
        for split, found in frames.items()
    ]
    if options.as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            evaluation.print_evaluation(report)
    return all(report.ok for report in reports)


def state(options: Options) -> State:
    """Whether every base network of the workspace, as its weights are now, was measured."""
    from pipeline.workspace import results

    space, held = opening.open_workspace(options.workspace), options.held
    dataset = opening.in_workspace(space, held.dataset, held.root, keep=False)
    name = space.folders(dataset, held.splits)[0].dataset
    runs = results.finished_runs(space, name, "base")
    there = [results.is_measured(run, split, options.measurement) for run in runs for split in held.splits]
    return "done" if there and all(there) else "to do"
