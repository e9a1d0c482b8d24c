"""`adaprep predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.screen import say
from pipeline.settings import setting
from pipeline.train.settings import need_torch


@dataclass(frozen=True)
class Options:
    """Of `adaprep predict`."""

    images: tuple[Path, ...] = setting(argument=True, metavar="IMAGE...")
    checkpoint: Path = setting(help="Base network.", completes="weights")
    auxiliary: Path | None = setting(
        None, "Checkpoint of the network that says where it is sampled.", completes="weights"
    )
    output: Path = setting(help="Folder for the results.", short="-o")
    force: bool = settings.FORCE()
    factories: tuple[str, ...] = settings.FACTORIES()
    samplers: tuple[str, ...] = settings.SAMPLERS()
    dataset: str | None = settings.DATASET(
        default=None, help="Data set that it was trained on: name or YAML file, if the workspace lacks it."
    )
    device: settings.Device = settings.DEVICE()
    workspace: Path = settings.WORKSPACE()

    @property
    def code(self) -> tuple[str, ...]:
        """All code of the user's own that may be run."""
        return self.factories + self.samplers


@opening.command("predict", Options)
def command(options: Options) -> None:
    """Label images of any size, every pixel: FOLDER/labels/NAME.png and FOLDER/overlays/NAME.jpg.

    Label maps hold the data set's own ids. A file that cannot be read is listed, the rest goes on, and the
    exit status is 1.

    \b
    Examples:
      adaprep predict street.jpg --checkpoint base.pt --auxiliary auxiliary.pt -o predicted
      adaprep predict photos/*.jpg --checkpoint uniform.pt -o predicted --device cuda
    """
    need_torch()
    from pipeline.inference import predict as stage
    from pipeline.inference import systems
    from pipeline.marks import Writer
    from pipeline.report import console
    from pipeline.train.processes import choose_device

    described = [Path(options.dataset)] if options.dataset else []
    space, device = opening.open_workspace(options.workspace), choose_device(options.device)
    writer = Writer([*options.images, options.checkpoint, options.auxiliary, *described], options.force)
    jobs = stage.plan(options.images, options.output, writer)
    base = systems.load_base(options.checkpoint)
    classes = stage.class_table(base, options.dataset, space)
    system, notes = systems.open_system(base, options.auxiliary, device, factories=options.code)
    for note in notes:
        say(f"note: {note}", err=True)
    summary = stage.run(system, jobs, classes, console.listener(), writer)
    console.print_summary(summary, options.output)
    finish(summary.ok)
