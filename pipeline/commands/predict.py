"""`adaprep predict`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.networks import need_torch
from pipeline.samplers import feedback
from pipeline.screen import say
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep predict`."""

    images: tuple[Path, ...] = setting(argument=True, metavar="IMAGE|FOLDER...")
    checkpoint: str | None = setting(
        None,
        "Base network: a run's name, or a file. Default: the best run in the workspace.",
        metavar="RUN|FILE",
        completes="run",
    )
    auxiliary: str | None = setting(
        None,
        "Network that says where it is sampled. Default: the one it was trained with.",
        metavar="RUN|FILE",
        completes="run",
    )
    output: Path = setting(help="Folder for the results.", short="-o")
    save: tuple[settings.Saved, ...] = setting(
        ("labels", "overlay"), "What to write: labels, overlay, probabilities.", metavar="WHAT[,...]"
    )
    force: bool = settings.FORCE()
    factories: tuple[str, ...] = settings.FACTORIES()
    samplers: tuple[str, ...] = settings.RESAMPLED()
    first: str | None = settings.FIRST(
        help=settings.FIRST.help.format("the same network at half its resolution")
    )
    dataset: str | None = settings.DATASET(
        default=None, help="Data set that it was trained on: name or YAML file, if the workspace lacks it."
    )
    device: settings.Device = settings.DEVICE()
    workspace: Path = settings.WORKSPACE()

    @property
    def code(self) -> tuple[str, ...]:
        """All code of the user's own that may be run."""
        return self.factories + feedback.split(self.samplers)[1]


@opening.command("predict", Options)
def command(options: Options) -> None:
    """Label images of any size, every pixel: OUTPUT/labels/NAME.png and OUTPUT/overlays/NAME.jpg.

    A folder stands for all images below it: photos, or the frames of a video. Label maps hold the data set's
    own ids. A file that cannot be read is listed, the rest goes on, and the exit status is 1.

    \b
    Examples:
      adaprep predict photos -o predicted
      adaprep predict street.jpg --checkpoint base-unet-auxiliary-32-seed0 -o predicted
      adaprep predict video1 video2 --checkpoint base.pt --save labels,overlay,probabilities -o predicted
      adaprep predict video1 video2 --sampler previous -o predicted
      adaprep predict photos --checkpoint base.pt --sampler twice --first uniform.pt -o predicted
      adaprep predict "photos/*.jpg" --checkpoint uniform.pt -o predicted --device cuda
    """
    need_torch()
    from pipeline.inference import choosing, systems
    from pipeline.inference import images as listing
    from pipeline.inference import predict as stage
    from pipeline.inference.compared import of_uniform
    from pipeline.marks import Writer
    from pipeline.report import console
    from pipeline.stages import chosen as data_sets
    from pipeline.train.processes import choose_device

    device, space = choose_device(options.device), opening.open_workspace(options.workspace)
    named = listing.collect(options.images, stage.result_folders(options.output))
    meant = data_sets.find(space, options.dataset) if options.dataset else None
    held = meant.name if meant and meant.folders else None
    chosen = choosing.choose(space, held, options.checkpoint, options.auxiliary, options.code)
    described = [Path(options.dataset)] if options.dataset else []
    inputs = [*(one.image for one in named), chosen.base.path, chosen.auxiliary, *described]
    writer = Writer(inputs, options.force)
    jobs = stage.plan(named, options.output, writer, options.save)
    data = stage.dataset_of(chosen.base, options.dataset, space)
    jobs = [replace(job, scale=data.image_range) for job in jobs]
    resampled, own = feedback.split(options.samplers)
    if len(resampled) > 1:
        raise click.UsageError("give one of --sampler previous and twice")
    feedback.check_first(resampled, options.first)
    first = choosing.find(space, held, options.first) if options.first else None
    notes: list[str] = []
    if resampled:
        coarse = of_uniform(first, "--first", data)
        code = options.factories + own
        system = systems.with_feedback(chosen.base, resampled[0], device, code, coarse, chosen.auxiliary)
    else:
        system, notes = systems.open_system(chosen.base, chosen.auxiliary, device, factories=options.code)
    for note in (*chosen.notes, *(f"note: {note}" for note in notes)):
        say(note, err=True)
    summary = stage.run(system, jobs, data.classes, console.listener(), writer)
    console.print_summary(summary, options.output)
    finish(summary.ok)
