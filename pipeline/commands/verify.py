"""`adaprep verify`."""

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
    """Options of `adaprep verify`."""

    dataset: str | None = settings.HELD()
    root: Path | None = settings.MOVED()
    splits: tuple[str, ...] = settings.SPLITS()
    sample: int = setting(20, "Images to recompute.", low=1)
    everything: bool = setting(False, "Recompute every image.", flag="--all")
    seed: int = setting(0, "Seed of the random sample.")
    repair: bool = setting(False, "Read every chunk; mark blocks with a damaged one as not done.")
    as_json: bool = settings.JSON()
    workspace: Path = settings.WORKSPACE()


@opening.command("verify", Options)
def command(options: Options) -> None:
    """Check the stores against the sources and the definitions, by other means than they were made.

    A random sample of images is recomputed from the label maps; constraints, range, minimum and folded
    cells are checked on all. With --all every chunk is read too.
    """
    from pipeline.report import console
    from pipeline.stages import verify as stage

    count = None if options.everything else options.sample
    space = opening.open_workspace(options.workspace)
    dataset = opening.in_workspace(space, options.dataset, options.root)
    results = {
        folder.title: stage.run(folder, count, options.seed, options.root, options.repair)
        for folder in space.folders(dataset, options.splits)
    }
    if options.as_json:
        print_json({title: [f.as_dict() for f in found] for title, found in results.items()})
    else:
        for title, found in results.items():
            console.print_findings(title, found)
    finish(all(f.ok for found in results.values() for f in found))
