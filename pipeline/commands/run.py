"""`adaprep run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.commands.output import finish
from pipeline.screen import say
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep run`."""

    path: Path = setting(argument=True, metavar="RECIPE.yaml")
    only: tuple[str, ...] = setting((), "Only this stage; several times for several.", metavar="STAGE")
    first: str | None = setting(None, "Only this stage and those after it.", flag="--from", metavar="STAGE")
    root: Path | None = settings.ROOT(help="Folder of the data set; overrides the recipe.")
    device: settings.Device | None = settings.DEVICE(default=None, help="Device; overrides the recipe.")
    precision: settings.Precision | None = settings.PRECISION(
        default=None, help="Number format of forward passes; overrides the recipe."
    )
    workspace: Path | None = settings.WORKSPACE(
        default=None,
        help="Folder that holds all results, here or s3://BUCKET/FOLDER; overrides the recipe.",
    )
    jobs: int = setting(
        1,
        "Networks trained at the same time, sharing the cores, and on a GPU each where there are several.",
        low=1,
    )
    dry_run: bool = settings.DRY_RUN()


@opening.command("run", Options)
def command(options: Options) -> None:
    """Run a whole experiment: every step that RECIPE.yaml comes to, from label maps to a report.

    What is done already is skipped, so that the same command resumes where it was stopped. Every step names
    the command that does it by hand. Recipes to start from are in workflows/, with a guide.

    \b
    Examples:
      adaprep run workflows/demo.yaml
      adaprep run workflows/camvid.yaml --root ~/camvid --dry-run
      adaprep run workflows/camvid.yaml --only boundaries --only solve-tensors
      adaprep run workflows/demo.yaml --from evaluate
    """
    from pipeline.recipes import plan, schema
    from pipeline.recipes import run as running
    from pipeline.recipes.recipe import Overrides

    overrides = Overrides(options.workspace, options.root, options.device, options.precision)
    recipe = schema.load(options.path, overrides)
    for note in recipe.notes:
        say(note, err=True)
    every = plan.steps(recipe)
    chosen = plan.select(recipe, every, options.only, options.first)
    if options.dry_run:
        for planned in running.plan(recipe, chosen, every):
            say(planned.describe(), needed=True)
        return
    finish(running.run(recipe, chosen, say, options.jobs))
