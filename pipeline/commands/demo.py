"""`adaprep demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipeline import advice, settings
from pipeline import options as opening
from pipeline.commands.output import State, finish
from pipeline.screen import say
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep demo`."""

    data_only: bool = setting(False, "Only generate the street scenes, at --root.")
    root: Path = setting(Path("data/demo"), "Folder of the scenes.")
    train: int = setting(24, "Scenes to train on.", low=1)
    val: int = setting(8, "Scenes to validate on.", low=1)
    force: bool = settings.FORCE()
    workspace: Path = settings.WORKSPACE()


@opening.command("demo", Options)
def command(options: Options) -> None:
    """Run everything on generated street scenes; nothing is downloaded.

    \b
    Example:
      adaprep demo
    """
    finish(run(options))


def run(options: Options) -> bool:
    """Draw the scenes and put them through every stage; whether every file could be used."""
    from pipeline.marks import Writer
    from pipeline.report import console, show
    from pipeline.stages import demo as stage

    space, writer = opening.open_workspace(options.workspace), Writer(force=options.force)
    picture = space.demo_picture
    if not options.data_only:
        writer.check(picture)
    data = stage.generate(options.root, options.train, options.val, say, ahead=not options.data_only)
    if options.data_only:
        return True
    ok = stage.run(data, space, console.listener(), say, console.print_summary)
    scene = show.load_scene(data, data.frames("val")[0], (8, 8))
    show.draw_points(data, scene, picture, stage.LAMBDAS, resized=32, writer=writer)
    say(f"picture of {scene.frame.name}: {picture}")
    bound, shown = advice.command("upper-bound", split=("val",)), advice.command("show", image="5")
    say(f"next: {bound}, {shown}; your own data: docs/your-own-data.md")
    return ok


def state(options: Options) -> State:
    """Whether so many scenes are there."""
    from pipeline.datasets import registry
    from pipeline.errors import AdaprepError

    try:
        data = registry.load("demo", options.root)
        counts = [len(data.frames(split)) for split in ("train", "val")]
    except AdaprepError:
        return "to do"
    return "done" if counts == [options.train, options.val] else "to do"
