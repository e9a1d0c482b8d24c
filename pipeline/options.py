"""What the commands' options mean: types, and groups of options that become one object."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.stages.engine import Scheduler
    from pipeline.stores import Workspace

T = TypeVar("T")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


class Grid(click.ParamType):  # type: ignore[type-arg]
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


class Numbers(click.ParamType):  # type: ignore[type-arg]
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


class Real(click.FloatRange):
    """A finite number in a range: neither NaN, which is in no range and outside of none, nor infinite."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r}: give a number of {self._describe_range()}", param, ctx)
        return number


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """One whole number or several with commas, each at least 2."""

    name = "N[,...]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        parts = str(value).split(",")
        if not all(p.strip().isdecimal() and int(p) >= 2 for p in parts):
            self.fail(f"{value!r}: give whole numbers of at least 2, such as 64 or 32,64,128", param, ctx)
        return [int(p) for p in parts]


def gather(into: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Options that belong together, given to the command as one object that `build` makes of them."""

    def apply(command: Command) -> Command:
        @functools.wraps(command)
        def call(**values: Any) -> Any:
            taken = {name: values.pop(name) for name in inspect.signature(build).parameters}
            return command(**values, **{into: build(**taken)})

        made: Command = call
        for option in reversed(options):
            made = option(made)
        return made

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


def open_held(
    dataset: str | None, root: Path | None, targets: str | None, splits: tuple[str, ...], workspace: Path
) -> tuple[Dataset, dict[str, list[Frame]]]:
    """A data set and its frames by split: the one named, or else the one that the workspace holds."""
    from pipeline.stages import inputs

    if dataset is None:
        return inputs.held_frames(open_workspace(workspace), splits, root, targets)
    data = open_dataset(dataset, root, targets, ())
    return data, {split: data.frames(split) for split in inputs.existing_splits(data, splits)}


def open_workspace(workspace: Path) -> Workspace:
    """The workspace that the option names; it need not exist."""
    from pipeline.stores import Workspace

    return Workspace(workspace)


ROOT = click.Path(path_type=Path)

WORKSPACE = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ADAPREP_WORKSPACE",
    default=Path("adaprep-workspace"),
    show_default="./adaprep-workspace, or ADAPREP_WORKSPACE",
    help="Folder that holds all results.",
)

workspace_option = gather("space", open_workspace, WORKSPACE)
held_options = gather(
    "held",
    open_held,
    click.option("--dataset", help="Name or YAML file. Default: the one in the workspace."),
    click.option("--root", type=ROOT, help="Where the data set lies."),
    click.option("--targets", help="Target classes by name, with commas."),
    click.option(
        "--split", "splits", multiple=True, help="May be given several times. Default: train and val."
    ),
    WORKSPACE,
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
factories_option = click.option(
    "--base",
    "factories",
    multiple=True,
    metavar="FACTORY",
    help="package.module:factory of a base network of your own, for a checkpoint does not decide which code "
    "runs. May be given several times.",
)
held_option = click.option("--dataset", help="Needed only when the workspace holds several.")


def flat(groups: tuple[list[T], ...]) -> list[T]:
    """Numbers given with commas, several times, or both; each once, in order."""
    return list(dict.fromkeys(number for group in groups for number in group))
