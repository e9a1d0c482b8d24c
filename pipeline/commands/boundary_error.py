"""`adaprep boundary-error`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.screen import print_json, say
from pipeline.settings import setting

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset


@dataclass(frozen=True)
class Options:
    """Options of `adaprep boundary-error`."""

    dataset: str | None = settings.DATASET(
        default=None, help="Name or YAML file: outlines of its targets. Default: smooth curves."
    )
    root: Path | None = settings.ROOT(help="Folder of the data set.")
    targets: str | None = settings.TARGETS(help="Target classes by name, with commas.")
    split: str = setting("val", "Split of the data set.")
    limit: int | None = settings.LIMIT()
    lambdas: tuple[float, ...] = settings.LAMBDAS(default=(0.1, 1.0))
    plot: settings.Picture | None = setting(None, "Draw error against samples.")
    force: bool = settings.FORCE()
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE(help="Workspace that is asked for data sets that it holds.")


@opening.command("boundary-error", Options)
def command(options: Options) -> None:
    """Measure how the error at boundaries falls with the number of samples, Appendix A of the paper.

    Three ways to sample: near the boundary, as the appendix does (slope -2); on a uniform grid (slope -1/2);
    on the tool's own adaptive grids. See docs/appendix-a.md.

    \b
    Examples:
      adaprep boundary-error --plot curves.png
      adaprep boundary-error --dataset camvid --split val --limit 20
    """
    from pipeline.evaluation import boundary_error as stage
    from pipeline.marks import Writer
    from pipeline.report import boundary_error as report

    data = _dataset(options)
    frames = data.frames(options.split) if data else []
    writer = Writer(opening.files_of(data, frames) if data else (), options.force)
    if options.plot:
        writer.check(options.plot)
    if data is None:
        found = stage.run_shapes(options.lambdas)
    else:
        found = stage.run_dataset(data, options.split, frames[: options.limit], options.lambdas)
    print_json(found.as_dict()) if options.as_json else report.print_errors(found)
    if options.plot:
        report.plot(found, options.plot, writer)
        say(f"plot: {options.plot}", err=options.as_json)
    finish(found.ok)


def _dataset(options: Options) -> Dataset | None:
    if options.dataset is None:
        return None
    chosen = settings.Data(dataset=options.dataset, root=options.root, targets=options.targets)
    return opening.open_dataset(chosen, options.workspace)
