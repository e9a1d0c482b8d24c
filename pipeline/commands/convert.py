"""`adaprep convert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import advice, settings
from pipeline import options as opening
from pipeline.commands.output import finish
from pipeline.screen import say
from pipeline.settings import setting

if TYPE_CHECKING:
    from pipeline.stages.engine import Scheduler


@dataclass(frozen=True)
class Options:
    """Options of `adaprep convert`."""

    data: settings.Data
    output: Path = setting(help="Folder for label maps, lists and a YAML file.", short="-o")
    splits: tuple[str, ...] = settings.SPLITS()
    limit: int | None = settings.LIMIT()
    force: bool = settings.FORCE()
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    workspace: Path = settings.WORKSPACE(help="Workspace that is asked for data sets that it holds.")


@opening.command("convert", Options)
def command(options: Options) -> None:
    """Write the labels of a data set as PNG files of ids, and a YAML file that reads them.

    FOLDER/labels/SPLIT/NAME.png; images stay where they are. Resumes where an earlier run stopped: files
    whose source has not changed stay. A file that cannot be read is listed, the rest goes on, and the exit
    status is 1.

    \b
    Examples:
      adaprep convert --dataset my-data.yaml -o converted
      adaprep convert --dataset cityscapes --split val -o converted
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Convert the splits; whether every file could be used."""
    with opening.open_scheduler(options.scheduling) as where:
        return _run(options, where)


def _run(options: Options, where: Scheduler) -> bool:
    from pipeline.marks import Writer
    from pipeline.report import console
    from pipeline.stages import convert as stage
    from pipeline.stages.inputs import existing_splits

    data = opening.open_dataset(options.data, options.workspace)
    writer, splits = Writer(force=options.force), existing_splits(data, options.splits)
    if not options.splits and (others := [split for split in data.splits if split not in splits]):
        say(f"note: only {' and '.join(splits)}; --split takes also: {', '.join(others)}", err=True)
    plans = stage.plan(data, splits, options.output, writer, options.limit)
    ok, converted = True, {}
    for one in plans:
        summary, converted[one.split] = stage.run(data, one, writer, where, console.listener())
        console.print_summary(summary, options.output / stage.LABELS / one.split)
        ok &= summary.ok
    path = stage.describe(data, options.output, converted, writer)
    say(f"described in {path}. Run: {advice.command('check', dataset=str(path))}")
    return ok
