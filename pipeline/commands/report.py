"""`adaprep report`."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import State, finish
from pipeline.screen import say
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep report`."""

    dataset: str | None = settings.HELD()
    root: Path | None = settings.MOVED()
    split: str = setting("val", "Split that networks were evaluated on.")
    output: Path | None = setting(
        None,
        "Folder, here or s3://BUCKET/FOLDER. Default: WORKSPACE/DATASET/report.",
        short="-o",
        elsewhere=True,
    )
    force: bool = settings.FORCE()
    factories: tuple[str, ...] = settings.FACTORIES()
    samplers: tuple[str, ...] = settings.SAMPLERS()
    device: settings.Device = settings.DEVICE()
    workspace: Path = settings.WORKSPACE()

    @property
    def code(self) -> tuple[str, ...]:
        """All code of the user's own that may be run."""
        return self.factories + self.samplers


@opening.command("report", Options)
def command(options: Options) -> None:
    """Write one HTML page with the paper's tables and figures for your data, and CSV and PNG beside it.

    It shows what the workspace holds: statistics, sampling pictures, upper bound, training, evaluations. What
    is missing is named with the command that makes it. A damaged file is listed, the rest is shown, and the
    exit status is 1.

    \b
    Examples:
      adaprep report
      adaprep report --split test -o report
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Write the page; whether every file of the workspace could be used."""
    from pipeline.marks import Writer
    from pipeline.report import page

    space, examples, damaged = opening.open_workspace(options.workspace), None, list[str]()
    dataset = opening.in_workspace(space, options.dataset, options.root)
    data, frames = page.shown(space, dataset, options.split, options.root)
    writer = Writer(opening.files_of(data, frames), options.force)
    folder = options.output or space.report_folder(data.name, options.split)
    page.check_folder(folder, writer)
    if importlib.util.find_spec("torch") and importlib.util.find_spec("timm"):
        from pipeline.evaluation import examples as stage
        from pipeline.train.processes import choose_device

        device = choose_device(options.device)
        examples = stage.predict(space, data, frames, device, options.split, options.code, damaged)
    path = page.write(space, dataset, options.split, options.output, examples, options.root, writer, damaged)
    say(f"report: {path}")
    for problem in dict.fromkeys(damaged):
        say(f"left out: {problem}", err=True, needed=True)
    return not damaged


def state(options: Options) -> State:
    """Done once the page shows the figures that there are now."""
    from pipeline.report import page

    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, options.dataset, options.root, keep=False)
    name = space.folders(dataset, [options.split])[0].dataset
    folder = options.output or space.report_folder(name, options.split)
    return "done" if page.is_current(folder, space, name, options.split) else "to do"
