"""`adaprep boundary-error`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish, print_json
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Of `adaprep boundary-error`."""

    dataset: str | None = settings.DATASET(
        default=None, help="Name or YAML file: outlines of its targets. Default: smooth curves."
    )
    root: Path | None = settings.ROOT(help="Where the data set lies.")
    targets: str | None = settings.TARGETS(help="Target classes by name, with commas.")
    split: str = setting("val", "Split of the data set.")
    limit: int | None = settings.LIMIT()
    lambdas: tuple[float, ...] = settings.LAMBDAS(default=(0.1, 1.0))
    plot: Path | None = setting(None, "Draw error against samples.")
    as_json: bool = settings.JSON()


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
    from pipeline.report import boundary_error as report
    from pipeline.stages import boundary_error as stage

    if options.dataset is None:
        found = stage.run_shapes(options.lambdas)
    else:
        chosen = settings.Data(dataset=options.dataset, root=options.root, targets=options.targets)
        data = opening.open_dataset(chosen)
        frames = data.frames(options.split)[: options.limit]
        found = stage.run_dataset(data, options.split, frames, options.lambdas)
    print_json(found.as_dict()) if options.as_json else report.print_errors(found)
    if options.plot:
        report.plot(found, options.plot)
        click.echo(f"plot: {options.plot}", err=options.as_json)
    finish(found.ok)
