"""`adaprep status`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.screen import print_json
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep status`."""

    dataset: str | None = settings.HELD(help="Only this data set.")
    failures: bool = setting(False, "List every file that failed, with its reason.")
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE()


@opening.command("status", Options)
def command(options: Options) -> None:
    """Say what the workspace holds, with which parameters, how complete."""
    from pipeline.report import console
    from pipeline.stages import status as stage

    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, options.dataset)
    rows = stage.run(space, dataset)
    if not rows:
        space.folders(dataset)
    failed = stage.failures(space, dataset)
    if options.as_json:
        print_json({"stores": [row.as_dict() for row in rows], "failures": failed})
    else:
        console.print_status(rows)
        if options.failures:
            console.print_known_failures(failed)
    finish(not any(row.damaged for row in rows))
