"""`adaprep check`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.screen import print_json
from pipeline.settings import setting

if TYPE_CHECKING:
    from pipeline.stages.engine import Scheduler


@dataclass(frozen=True)
class Options:
    """Options of `adaprep check`."""

    data: settings.Data
    splits: tuple[str, ...] = settings.SPLITS()
    limit: int | None = settings.LIMIT()
    scheduling: settings.Scheduling = settings.group(settings.Scheduling)
    decode_images: bool = setting(False, "Decode images whole, not just their headers.")
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE(help="Workspace that is asked for data sets that it holds.")


@opening.command("check", Options)
def command(options: Options) -> None:
    """Look at a data set before working on it: files, sizes, ids, classes, targets.

    \b
    Examples:
      adaprep check --dataset cityscapes --split train --limit 100
      adaprep check --dataset my-data.yaml --json
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Print what was found; whether all is well."""
    with opening.open_scheduler(options.scheduling) as where:
        return _run(options, where)


def _run(options: Options, where: Scheduler) -> bool:
    from pipeline.report import console
    from pipeline.stages import check as stage
    from pipeline.stages.duplicates import MAX_IMAGES
    from pipeline.stages.frame_list import listed
    from pipeline.stages.inputs import listed_splits

    data = opening.open_dataset(options.data, options.workspace)
    found = listed_splits(data, options.splits)
    splits = {split: frames or listed(data, split) for split, frames in found.items()}
    compare = len(splits) > 1 and sum(map(len, splits.values())) <= MAX_IMAGES
    decode = options.decode_images
    reports = [
        stage.run(data, split, options.limit, where, console.listener(), decode, compare, frames)
        for split, frames in splits.items()
    ]
    stage.compare_splits(reports)
    if options.as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            console.print_check(report)
    return all(report.ok for report in reports)
