"""The command line: options in, one stage called, a summary out."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.errors import AdaprepError

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset
    from pipeline.stages.engine import Scheduler
    from pipeline.stores import Workspace

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class Commands(click.Group):
    """Turns the errors written for people into one sentence and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AdaprepError as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("stopped; finished blocks are kept: run the same command again to go on", err=True)
            sys.exit(130)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order they are used


class Grid(click.ParamType):
    """8 or 8x8 or 6x10 (height x width)."""

    name = "HxW"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        parts = str(value).lower().split("x")
        if len(parts) > 2 or not all(p.isdecimal() and int(p) >= 2 for p in parts):
            self.fail(f"{value!r} is no grid: give 8 or 8x8 (height x width), at least 2x2", param, ctx)
        return int(parts[0]), int(parts[-1])


class Numbers(click.ParamType):
    """One number or several with commas, each at least 0."""

    name = "NUMBER[,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        if isinstance(value, list):
            return value
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            numbers = [-1.0]
        if not all(0 <= n < float("inf") for n in numbers):
            self.fail(f"{value!r}: give numbers of at least 0, such as 1 or 0.1,1,10", param, ctx)
        return numbers


def gather(into: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Options that belong together, given to the command as one object that `build` makes of them."""

    def apply(command: Command) -> Command:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            taken = {name: values.pop(name) for name in inspect.signature(build).parameters}
            return command(**values, **{into: build(**taken)})

        for option in reversed(options):
            call = option(call)
        return call

    return apply


def open_dataset(dataset: str, root: Path | None, targets: str | None, settings: tuple[str, ...]) -> Dataset:
    """The data set that the options name."""
    from pipeline.datasets import registry

    if bad := [s for s in settings if "=" not in s]:
        raise click.UsageError(f"--set {bad[0]}: give KEY=VALUE")
    pairs = dict(s.split("=", 1) for s in settings)
    names = [t for t in targets.split(",") if t.strip()] if targets else None
    return registry.load(dataset, root, targets=names, **pairs)


def open_scheduler(workers: int | None, threads: int | None, scheduler: str | None) -> Scheduler:
    """Where the options say to run."""
    from pipeline.stages.engine import Scheduler

    if sum(option is not None for option in (workers, threads, scheduler)) > 1:
        raise click.UsageError("give only one of --workers, --threads and --scheduler")
    return Scheduler(workers, scheduler, threads)


def open_workspace(workspace: Path) -> Workspace:
    """The workspace that the option names; it need not exist."""
    from pipeline.stores import Workspace

    return Workspace(workspace)


ROOT = click.Path(path_type=Path)

workspace_option = gather(
    "space",
    open_workspace,
    click.option(
        "--workspace",
        type=click.Path(file_okay=False, path_type=Path),
        envvar="ADAPREP_WORKSPACE",
        default=Path("adaprep-workspace"),
        show_default="./adaprep-workspace, or ADAPREP_WORKSPACE",
        help="Folder that holds all results.",
    ),
)
dataset_options = gather(
    "data",
    open_dataset,
    click.option("--dataset", required=True, help="A name from `adaprep datasets`, or your own YAML file."),
    click.option(
        "--root", type=ROOT, help="Where the data set lies. Default: ADAPREP_DATA/NAME, then ./data/NAME."
    ),
    click.option("--targets", help="Target classes by name, with commas. Default: the data set's own."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Data set setting, as in neutral=ignore.",
    ),
)
scheduler_options = gather(
    "where",
    open_scheduler,
    click.option("--workers", type=click.IntRange(min=1), help="Run in N local processes, not in threads."),
    click.option("--threads", type=click.IntRange(min=1), help="Threads. Default: one a core."),
    click.option("--scheduler", metavar="tcp://HOST:PORT", help="Run on a Dask cluster."),
)
split_option = click.option(
    "--split", "splits", multiple=True, help="Split; may be given several times. Default: train and val."
)
limit_option = click.option("--limit", type=click.IntRange(min=1), help="Only the first N images of a split.")
block_option = click.option(
    "--block-size", type=click.IntRange(min=1), help="Images a task, rounded up to whole blocks of the store."
)
overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Make the stores again instead of going on with them."
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would be done, why, and what it would take."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
held_option = click.option("--dataset", help="Needed only when the workspace holds several.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="adaprep", prog_name="adaprep")
def main() -> None:
    """Prepare data for segmentation networks that look where it matters.

    From label maps to sampling tensors that pull sample points towards the boundaries of your target classes.

    \b
    On a new data set:
      adaprep datasets                                  what can be read, and where it is looked for
      adaprep check --dataset camvid                    is everything there and as it should be
      adaprep boundaries --dataset camvid               label maps -> nearest boundaries
      adaprep solve-tensors --lambda 1                  nearest boundaries -> sampling tensors
      adaprep show 0 --dataset camvid                   a picture of one image's sample points
      adaprep verify                                    hold the results against their sources

    Without data: adaprep demo
    """


def finish(ok: bool) -> None:
    """Exit status 1 unless all went well."""
    if not ok:
        sys.exit(1)


def flat(groups: tuple[list[float], ...]) -> list[float]:
    """Numbers given with commas, several times, or both; each once, in order."""
    return list(dict.fromkeys(number for group in groups for number in group))


def print_json(data: Any) -> None:
    import json

    click.echo(json.dumps(data, ensure_ascii=False, indent=2))


@main.command()
@click.option("--data-only", is_flag=True, help="Only generate the street scenes, at --root.")
@click.option("--root", type=ROOT, default=Path("data/demo"), show_default=True)
@click.option(
    "--train", type=click.IntRange(min=1), default=24, show_default=True, help="Scenes to train on."
)
@click.option(
    "--val", type=click.IntRange(min=1), default=8, show_default=True, help="Scenes to validate on."
)
@workspace_option
def demo(data_only: bool, root: Path, train: int, val: int, space: Workspace) -> None:
    """Run everything on generated street scenes; nothing is downloaded.

    \b
    Example:
      adaprep demo
    """
    from pipeline.report import console, show
    from pipeline.stages import demo as stage

    data = stage.generate(root, train, val, click.echo)
    if data_only:
        return
    ok = stage.run(data, space, console.listener(), click.echo, console.print_summary)
    picture = space.path / "demo.png"
    scene = show.run(data, data.frames("val")[0], picture, stage.LAMBDAS, resized=32)
    click.echo(f"picture of {scene.frame.name}: {picture}")
    finish(ok)


@main.command()
@json_option
def datasets(as_json: bool) -> None:
    """List the data sets that can be read, and where each is looked for."""
    from pipeline.datasets import registry
    from pipeline.report import console

    rows = registry.describe()
    print_json(rows) if as_json else console.print_datasets(rows)


@main.command()
@dataset_options
@split_option
@limit_option
@scheduler_options
@json_option
def check(data: Dataset, splits: tuple[str, ...], limit: int | None, where: Scheduler, as_json: bool) -> None:
    """Look at a data set before working on it: files, sizes, ids, classes, targets.

    \b
    Examples:
      adaprep check --dataset cityscapes --split train --limit 100
      adaprep check --dataset my-data.yaml --json
    """
    from pipeline.report import console
    from pipeline.stages import check as stage
    from pipeline.stages.inputs import existing_splits

    chosen = existing_splits(data, splits)
    reports = [stage.run(data, split, limit, where, console.listener()) for split in chosen]
    if as_json:
        print_json([report.as_dict() for report in reports])
    else:
        for report in reports:
            console.print_check(report)
    finish(all(report.ok for report in reports))


@main.command()
@dataset_options
@split_option
@limit_option
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="Size of the sampling tensor.")
@click.option(
    "--crops",
    type=click.IntRange(min=1),
    help="Squares an image. Default: 5 of training splits, 1 elsewhere.",
)
@scheduler_options
@block_option
@overwrite_option
@dry_run_option
@workspace_option
def boundaries(
    data: Dataset,
    splits: tuple[str, ...],
    limit: int | None,
    grid: tuple[int, int],
    crops: int | None,
    where: Scheduler,
    block_size: int | None,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Find the target boundaries of every label map, and the nearest one to every grid point.

    Goes on where an earlier run stopped. A file that cannot be used is listed, the rest goes on, and the
    exit status is 1.

    \b
    Examples:
      adaprep boundaries --dataset apolloscape
      adaprep boundaries --dataset cityscapes --split train --targets person,rider --dry-run
      adaprep boundaries --dataset my-data.yaml --workers 8
    """
    from pipeline.report import console
    from pipeline.stages import boundaries as stage
    from pipeline.stages.inputs import existing_splits

    ok = True
    for split in existing_splits(data, splits):
        folder = space.folder(data.name, split)
        found, todo = stage.prepare(folder, data, split, stage.Options(grid, crops), overwrite, limit)
        if dry_run:
            console.print_plan(todo, where, block_size, stage.estimate(found, todo, where))
            continue
        summary = stage.run(folder, found, todo, where, console.listener(), block_size)
        console.print_summary(summary, folder.boundaries)
        ok &= summary.ok
    finish(ok)


@main.command("solve-tensors")
@click.option(
    "--lambda",
    "lambdas",
    type=Numbers(),
    multiple=True,
    default=["1"],
    show_default=True,
    help="Weight of regularity against boundary pull; several with commas.",
)
@click.option(
    "--grid", type=Grid(), help="Another grid than the boundaries were made for; reads no label map."
)
@click.option("--crops", type=click.IntRange(min=1), help="Another crop count than the boundaries'.")
@held_option
@split_option
@scheduler_options
@block_option
@overwrite_option
@dry_run_option
@workspace_option
def solve_tensors(
    lambdas: tuple[list[float], ...],
    grid: tuple[int, int] | None,
    crops: int | None,
    dataset: str | None,
    splits: tuple[str, ...],
    where: Scheduler,
    block_size: int | None,
    overwrite: bool,
    dry_run: bool,
    space: Workspace,
) -> None:
    """Minimise energy (2): from nearest boundaries to sampling tensors.

    Reads the stores that `adaprep boundaries` made and no label map.

    \b
    Examples:
      adaprep solve-tensors --lambda 1
      adaprep solve-tensors --lambda 0.1,1,10 --grid 16x16
    """
    from pipeline.report import console
    from pipeline.stages import tensors as stage

    ok = True
    for folder in space.folders(dataset, splits):
        for lam in flat(lambdas):
            todo = stage.plan(folder, stage.Options(lam, grid, crops), overwrite)
            if dry_run:
                console.print_plan(todo, where, block_size, stage.estimate(folder, todo, where))
                continue
            summary = stage.run(folder, todo, where, console.listener(), block_size)
            console.print_summary(summary, todo.path)
            ok &= summary.ok
    finish(ok)


@main.command()
@click.argument("image")
@click.option("--dataset", help="Name or YAML file. Default: the one in the workspace.")
@click.option("--root", type=ROOT, help="Where the data set lies.")
@click.option("--split", "splits", multiple=True, help="Where to look for the image. Default: train and val.")
@click.option("--targets", help="Target classes by name, with commas.")
@click.option("--lambda", "lambdas", type=Numbers(), multiple=True, default=["1"], show_default=True)
@click.option("--grid", type=Grid(), default="8x8", show_default=True)
@click.option("--resize", type=click.IntRange(min=2), help="Also show the tensor resized to N x N (Fig. 5).")
@click.option("--crop", type=click.IntRange(min=0), default=0, show_default=True, help="Which crop.")
@click.option("--crops", type=click.IntRange(min=1), default=1, show_default=True, help="Of how many.")
@click.option("--labels", is_flag=True, help="Show class colours in place of the image.")
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Default: NAME.png.")
@workspace_option
def show(
    image: str,
    dataset: str | None,
    root: Path | None,
    splits: tuple[str, ...],
    targets: str | None,
    lambdas: tuple[list[float], ...],
    grid: tuple[int, int],
    resize: int | None,
    crop: int,
    crops: int,
    labels: bool,
    output: Path | None,
    space: Workspace,
) -> None:
    """Draw target boundaries and sample points of IMAGE: a number, a path, or a part of its name.

    \b
    Examples:
      adaprep show 0
      adaprep show 0016E5_08159 --lambda 0.1,1,10 --resize 32 -o points.png
    """
    from pipeline.report import show as report
    from pipeline.stages import inputs

    if dataset is None:
        data, frames = inputs.held_frames(space, splits, root, targets)
    else:
        data = open_dataset(dataset, root, targets, ())
        frames = [frame for split in inputs.existing_splits(data, splits) for frame in data.frames(split)]
    frame = inputs.find_frame(frames, image)
    path = output or Path(f"{Path(frame.name).name}.png")
    report.run(data, frame, path, flat(lambdas), grid, resize, crop, crops, labels)
    click.echo(f"{frame.name}: {path}")


@main.command()
@click.option("--dataset", help="Only this data set.")
@click.option("--failures", is_flag=True, help="List every file that failed, with its reason.")
@json_option
@workspace_option
def status(dataset: str | None, failures: bool, as_json: bool, space: Workspace) -> None:
    """Say what the workspace holds, with which parameters, how complete."""
    from pipeline.report import console
    from pipeline.stages import status as stage

    rows = stage.run(space, dataset)
    failed = stage.failures(space, dataset)
    if as_json:
        print_json({"stores": [row.as_dict() for row in rows], "failures": failed})
        return
    console.print_status(rows)
    if failures:
        console.print_known_failures(failed)


@main.command()
@held_option
@click.option("--root", type=ROOT, help="Where the data set lies now, if it has moved.")
@split_option
@click.option(
    "--sample", type=click.IntRange(min=1), default=20, show_default=True, help="Images done again."
)
@click.option("--all", "everything", is_flag=True, help="Do every image again.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the random sample.")
@json_option
@workspace_option
def verify(
    dataset: str | None,
    root: Path | None,
    splits: tuple[str, ...],
    sample: int,
    everything: bool,
    seed: int,
    as_json: bool,
    space: Workspace,
) -> None:
    """Hold the stores against the sources and the definitions, by other means than they were made.

    A random sample of images is done again from the label maps; constraints, range, minimum and folded
    cells are checked on all.
    """
    from pipeline.report import console
    from pipeline.stages import verify as stage

    count = None if everything else sample
    results = {f.title: stage.run(f, count, seed, root) for f in space.folders(dataset, splits)}
    if as_json:
        print_json({title: [f.as_dict() for f in found] for title, found in results.items()})
    else:
        for title, found in results.items():
            console.print_findings(title, found)
    finish(all(f.ok for found in results.values() for f in found))


if __name__ == "__main__":
    main()
