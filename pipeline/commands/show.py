"""`adaprep show`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipeline import options as opening
from pipeline import settings
from pipeline.names import safe_component
from pipeline.screen import say
from pipeline.settings import setting


@dataclass(frozen=True)
class Options:
    """Options of `adaprep show`."""

    image: str = setting(argument=True, metavar="IMAGE", completes="image")
    held: settings.Held = settings.group(settings.Held)
    lambdas: tuple[float, ...] = settings.LAMBDAS()
    grid: settings.Grid = settings.GRID()
    resize: int | None = setting(None, "Also show the tensor resized to N x N (Fig. 5).", low=2)
    sampled: int | None = setting(None, "Show instead what N x N samples keep, and lose.", low=2)
    crop: int = setting(0, "Which crop.", low=0)
    crops: int = settings.CROPS(default=1, help="Crops per image that --crop counts.")
    labels: bool = setting(False, "Show class colours in place of the image.")
    output: settings.Picture | None = setting(None, "Default: NAME.png.", short="-o")
    force: bool = settings.FORCE()
    workspace: Path = settings.WORKSPACE()


@opening.command("show", Options)
def command(options: Options) -> None:
    """Draw target boundaries and sample points of IMAGE: a number, a path, or a part of its name.

    \b
    Examples:
      adaprep show 0
      adaprep show 0016E5_08159 --lambda 0.1,1,10 --resize 32 -o points.png
      adaprep show 0016E5_08159 --sampled 64 -o kept.png
    """
    from pipeline.marks import Writer
    from pipeline.report import reconstruction
    from pipeline.report import show as report
    from pipeline.stages.inputs import find_frame

    data, frames = opening.open_held(options.held, options.workspace)
    every = list(chain(*frames.values()))
    frame = find_frame(every, options.image)
    path = options.output or Path(f"{safe_component(Path(frame.name).name)}.png")
    writer = Writer(opening.files_of(data, every), options.force)
    writer.check(path)
    scene = report.load_scene(data, frame, options.grid, options.crop, options.crops, options.labels)
    if options.sampled:
        reconstruction.draw(data, scene, path, options.grid, options.lambdas[0], options.sampled, writer)
    else:
        report.draw_points(data, scene, path, options.lambdas, options.grid, options.resize, writer)
    say(f"{frame.name}: {path}")
