"""The settings of a command (`pipeline.settings`) as options of click."""

from __future__ import annotations

import functools
import os
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import click
from click.core import ParameterSource

from pipeline import advice, completion, doors, settings
from pipeline.errors import AdaprepError
from pipeline.log import machine, talking
from pipeline.names import split_names
from pipeline.option_types import (
    Adaptive,
    Device,
    Door,
    Grid,
    KeyValue,
    Number,
    Numbers,
    PathType,
    Picture,
    Sizes,
    Whole,
    Words,
)
from pipeline.screen import detail, say, show_origin
from pipeline.settings import Entry
from pipeline.storage import StoredPath, as_path, is_address

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.stages.engine import Scheduler
    from pipeline.workspace.stores import Workspace

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Command(click.Command):
    """A command whose options had other names once: these still work, and say how they are called now."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        newer = {
            old: option.opts[0]
            for option in self.params
            for old in getattr(option, "formerly", ())
            if isinstance(option, click.Option)
        }
        for place, arg in enumerate(args):
            name, equals, value = arg.partition("=")
            if name in newer:
                args[place] = newer[name] + equals + value
                say(f"note: {name} is now called {newer[name]}; the old name goes away", err=True)
            elif name == "--":
                break
        return super().parse_args(ctx, args)


class Option(click.Option):
    """An option that knows its older names."""

    def __init__(self, *names: Any, formerly: tuple[str, ...] = (), **about: Any) -> None:
        super().__init__(*names, **about)
        self.formerly = formerly

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The option, and the variable of the environment, where its value comes from there."""
        hint = super().get_error_hint(ctx)
        name = self.name or ""
        if ctx is None or ctx.get_parameter_source(name) is not ParameterSource.ENVIRONMENT:
            return hint
        return f"{hint} (from the environment: {self.envvar or f'{ctx.auto_envvar_prefix}_{name.upper()}'})"


def command(name: str, owner: type) -> Callable[[Callable[[Any], Any]], click.Command]:
    """Make a command of a function that takes its options as one object of the class `owner`."""

    def apply(function: Callable[[Any], Any]) -> click.Command:
        @functools.wraps(function)
        def call(**values: Any) -> Any:
            options = as_options(owner, values)
            with (
                _talking(click.get_current_context()),
                advice.running(name, options),
                doors.given(doors.among(values)),
            ):
                detail(f"{machine()}: {settings.command_line(name, options)}")
                try:
                    return function(options)
                except Exception as error:
                    show_origin(error)
                    raise

        made = talk_options(call)
        for entry in reversed(list(settings.all_entries(owner))):
            made = _option(entry)(made)
        return click.command(name, cls=Command)(made)

    return apply


TALK = ("quiet", "verbose", "log_file")
"""Parameters that every command has, and the group of them too: how much is said."""


def talk_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how much is printed, and where else."""
    made = click.option(
        "--log-file",
        type=PathType(elsewhere=False, folders=False),
        metavar="FILE",
        help="Also write all messages to FILE, with times.",
    )(function)
    made = click.option(
        "-v", "--verbose", is_flag=True, help="Also say what is opened, and where errors come from."
    )(made)
    return click.option("-q", "--quiet", is_flag=True, help="Print only results and problems.")(made)


def _talking(context: click.Context) -> AbstractContextManager[None]:
    """As much as the command's own options say, or those given before its name."""
    above = context.parent.params if context.parent else {}
    quiet, verbose, log_file = (context.params.get(name) or above.get(name) for name in TALK)
    if quiet and verbose:
        raise click.UsageError("give only one of --quiet and --verbose")
    return talking(bool(quiet), bool(verbose), log_file)


def as_options(owner: type, values: Mapping[str, Any]) -> Any:
    """The options of what click has parsed."""
    return settings.build(
        owner, {e.flag: _value(e, values[_destination(e)]) for e in settings.all_entries(owner)}
    )


def _value(entry: Entry, parsed: Any) -> Any:
    """What is given with commas, several times, or both, each once; pairs as a mapping."""
    if settings.has_commas(entry.kind):
        return tuple(dict.fromkeys(item for group in parsed for item in group))
    if _is_mapping(entry.kind):
        return dict(parsed)
    return parsed


def _option(entry: Entry) -> Decorator:
    about, kind = entry.setting, entry.kind
    if about.argument:
        many = typing.get_origin(kind) is tuple and kind != settings.Grid
        return click.argument(
            _destination(entry),
            type=_type(entry),
            nargs=-1 if many else 1,
            required=about.default is settings.REQUIRED,
            metavar=about.metavar or None,
            shell_complete=completion.of(about.completes),
        )
    more: dict[str, Any] = {"is_flag": True} if kind is bool else {"type": _type(entry)}
    if kind != settings.Grid and (typing.get_origin(kind) is tuple or _is_mapping(kind)):
        more["multiple"] = True
    if about.default is settings.REQUIRED:
        more["required"] = True  # without a default: click would take None for one
    else:
        more["default"] = _default(entry)
    names = [entry.flag, *([about.short] if about.short else []), _destination(entry)]
    return click.option(
        *names,
        cls=Option,
        formerly=about.formerly,
        show_default=about.shown if isinstance(about.shown, str) else _is_something(about.default),
        help=about.help or None,
        metavar=about.metavar or _metavar(kind),
        shell_complete=completion.of(about.completes),
        envvar=about.environment or None,
        **more,
    )


def _metavar(kind: Any) -> str | None:
    """What stands for a value in the help, where its type has no better word."""
    return {int: "N", float: "NUMBER"}.get(kind)


def _is_something(default: Any) -> bool:
    """Whether a default is worth showing."""
    return not (default is None or default is False or default == () or default == {})


def _default(entry: Entry) -> Any:
    default = entry.setting.default
    if settings.has_commas(entry.kind):
        return settings.as_texts(default, entry.kind)
    if entry.kind == settings.Grid and default is not None:
        return settings.as_texts(default, entry.kind)[0]
    return None if isinstance(default, Mapping) else default


def _destination(entry: Entry) -> str:
    return entry.flag.lstrip("-").replace("-", "_")


def _is_mapping(kind: Any) -> bool:
    return typing.get_origin(kind) not in (None, tuple, typing.Literal)


def _type(entry: Entry) -> Any:
    about, kind = entry.setting, entry.kind
    if kind == settings.Grid:
        return Grid()
    if typing.get_origin(kind) is tuple:
        inner = typing.get_args(kind)[0]
        if inner is int:
            return Sizes(int(2 if about.low is None else about.low))
        if inner is float:
            return Numbers(about.low or 0)
        if settings.has_commas(kind):
            return Words(typing.get_args(inner))
        kind = inner
    if kind == settings.Grid:
        return Grid()
    if about.door:
        return Door(about.choices)
    if about.choices or typing.get_origin(kind) is typing.Literal:
        return click.Choice(about.choices or typing.get_args(kind))
    if _is_mapping(kind):
        return KeyValue(typing.get_args(kind)[1] is float)
    if kind is int:
        return int if about.low is None else Whole(min=int(about.low))
    if kind is float:
        return Number(min=about.low if about.above is None else about.above, min_open=about.above is not None)
    if kind is settings.Picture:
        return Picture()
    if kind is settings.Device:
        return Device()
    if kind is settings.Adaptive:
        return Adaptive()
    return PathType(about.elsewhere) if kind is Path else kind


def open_dataset(chosen: settings.Data, workspace: Path) -> Dataset:
    """The data set that the options name."""
    from pipeline.stages import chosen as named

    if "targets" in chosen.settings:
        raise click.UsageError("--set targets=...: give --targets CLASS,...")
    place = open_workspace(workspace)
    found = named.open_dataset(place, chosen.dataset, chosen.root, _names(chosen.targets), chosen.settings)
    _tell(found)
    return found


def _tell(dataset: Dataset) -> None:
    """Say where a data set lies."""
    described = f", described in {source}" if (source := getattr(dataset, "source", None)) else ""
    detail(f"data set {dataset.name}: in {dataset.root}{described}")


def _names(targets: str | None) -> list[str] | None:
    """Of target classes, as they are given with commas."""
    return split_names(targets) if targets else None


@contextmanager
def open_scheduler(chosen: settings.Scheduling) -> Iterator[Scheduler]:
    """Where the options say to run, with one connection for all that is run there."""
    from pipeline.stages import engine

    if sum(x is not None for x in (chosen.workers, chosen.threads, chosen.scheduler, chosen.adaptive)) > 1:
        raise click.UsageError("give only one of --workers, --threads, --adaptive and --scheduler")
    workers, least = chosen.workers, None
    if chosen.adaptive:
        least, workers = map(int, chosen.adaptive.split(":"))
    where = engine.Scheduler(workers, chosen.scheduler, chosen.threads, least, chosen.wait, chosen.report)
    if chosen.report and not where.distributed:
        raise click.UsageError("--performance-report is of --workers, --adaptive or --scheduler: give one")
    detail(f"runs on {where.describe()}")
    with engine.connected(where) as reached:
        yield reached


def files_of(dataset: Dataset, frames: Iterable[Frame]) -> Iterator[Path]:
    """Every file that is read of a data set: what it is described in, and what its frames lie in."""
    if source := getattr(dataset, "source", None):
        yield Path(source)
    for frame in frames:
        yield from (path for path in (frame.image, *dataset.label_files(frame), frame.instance) if path)


def open_workspace(path: Path) -> Workspace:
    """The workspace that the option names; it need not exist.

    Raises
    ------
    AdaprepError
        It can be no folder: a part of its path is a file. Or it lies in an archive, or in a bucket that
        cannot be used.
    """
    from pipeline.workspace.stores import Workspace

    path = as_path(path)
    if is_address(path):
        path.is_dir()  # says what is wrong with bucket, endpoint or credentials before anything is done
        detail(f"workspace: {path}")
        return Workspace(path)
    if isinstance(path, StoredPath):
        raise AdaprepError(f"the workspace cannot be {path}: archives are only read. Choose a folder.")
    there = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
    if not there.is_dir():
        raise AdaprepError(f"the workspace cannot be {path}: {there} is not a folder. Choose another.")
    detail(f"workspace: {path.absolute()}")
    return Workspace(path)


def in_workspace(
    space: Workspace, dataset: str | None, root: Path | None = None, keep: bool = True
) -> str | None:
    """The name that the workspace keeps the data set of `--dataset` under; None where none is named.

    Where it lies now, by `--root` or the YAML file, is remembered if `keep`.
    """
    from pipeline.stages import chosen as named

    return named.in_workspace(space, dataset, root, keep)


@overload
def weights(named: Path, workspace: Path, dataset: str | None = None) -> Path: ...
@overload
def weights(named: None, workspace: Path, dataset: str | None = None) -> None: ...
def weights(named: Path | None, workspace: Path, dataset: str | None = None) -> Path | None:
    """The checkpoint that is meant by a file or by the name of a run in the workspace.

    Raises
    ------
    AdaprepError
        Nothing is called so, or runs of several data sets are.
    """
    if named is None:
        return None
    from pipeline.networks import need_torch
    from pipeline.stages import chosen

    need_torch()
    from pipeline.inference import choosing

    space = open_workspace(workspace)
    held = chosen.find(space, dataset).name if dataset else None
    return choosing.find(space, held if held in space.datasets() else None, str(named))


def open_held(chosen: settings.Held, workspace: Path) -> tuple[Dataset, dict[str, Sequence[Frame]]]:
    """A data set and its frames by split: the one named, or else the one that the workspace holds."""
    from pipeline.stages import chosen as named

    space = open_workspace(workspace)
    found = named.frames_of(space, chosen.dataset, chosen.splits, chosen.root, _names(chosen.targets))
    _tell(found[0])
    return found
