"""The settings of a command (`pipeline.settings`) as options of click."""

from __future__ import annotations

import functools
import math
import os
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline import settings
from pipeline.doors import is_door
from pipeline.errors import AdaprepError
from pipeline.settings import Entry

if TYPE_CHECKING:
    from pipeline.datasets.base import Dataset, Frame
    from pipeline.stages.engine import Scheduler
    from pipeline.workspace.stores import Workspace

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


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


class Door(click.Choice[str]):
    """One of these names, or the user's own code as ``package.module:factory``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) if is_door(value) else super().convert(value, param, ctx)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """One number or several with commas, each at least `low`."""

    name = "NUMBER[,...]"

    def __init__(self, low: float = 0) -> None:
        self.low = low

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        if isinstance(value, list):
            return value
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            numbers = [math.nan]
        if not all(self.low <= n < math.inf for n in numbers):
            self.fail(f"{value!r}: give numbers of at least {self.low:g}, such as 1 or 0.1,1,10", param, ctx)
        return numbers


class Sizes(click.ParamType):  # type: ignore[type-arg]
    """One whole number or several with commas, each at least `low`."""

    name = "N[,...]"

    def __init__(self, low: int = 2) -> None:
        self.low = low

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        if isinstance(value, list):
            return value
        parts = str(value).split(",")
        if not all(p.strip().isdecimal() and int(p) >= self.low for p in parts):
            self.fail(
                f"{value!r}: give whole numbers of at least {self.low}, such as 64 or 32,64,128", param, ctx
            )
        return [int(p) for p in parts]


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class Pair(click.ParamType):  # type: ignore[type-arg]
    """KEY=VALUE, or KEY=NUMBER with a number of at least 0."""

    name = "KEY=VALUE"

    def __init__(self, numbers: bool) -> None:
        self.numbers = numbers

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        key, equals, text = str(value).partition("=")
        if not equals or not key:
            self.fail(f"{value}: give {'KEY=NUMBER' if self.numbers else 'KEY=VALUE'}", param, ctx)
        if not self.numbers:
            return key, text
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 <= number < math.inf:
            self.fail(f"{value}: give KEY=NUMBER, at least 0, such as contrast=0.4", param, ctx)
        return key, number


class Picture(click.ParamType):  # type: ignore[type-arg]
    """A file that a picture is written to: its suffix says the format."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from pipeline import marks

        path = Path(value)
        try:
            marks.check_suffix(path)
        except AdaprepError as error:
            self.fail(str(error), param, ctx)
        return path


class Command(click.Command):
    """A command whose options had other names once: these still work, and say how they are called now."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from pipeline.screen import say

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


class Words(click.ParamType):  # type: ignore[type-arg]
    """One of some words, or several with commas."""

    name = "WORD[,...]"

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.choices = choices

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        if isinstance(value, list):
            return value
        words = [word.strip() for word in str(value).split(",")]
        if unknown := [word for word in words if word not in self.choices]:
            self.fail(
                f"{unknown[0]!r}: give one or more of {', '.join(self.choices)}, with commas", param, ctx
            )
        return words


def command(name: str, owner: type) -> Callable[[Callable[[Any], Any]], click.Command]:
    """Make a command of a function that takes its options as one object of the class `owner`."""

    def apply(function: Callable[[Any], Any]) -> click.Command:
        @functools.wraps(function)
        def call(**values: Any) -> Any:
            return function(as_options(owner, values))

        made: Callable[..., Any] = call
        for entry in reversed(list(settings.all_entries(owner))):
            made = _option(entry)(made)
        return click.command(name, cls=Command)(made)

    return apply


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
        )
    more: dict[str, Any] = {"is_flag": True} if kind is bool else {"type": _type(entry)}
    if kind != settings.Grid and (typing.get_origin(kind) is tuple or _is_mapping(kind)):
        more["multiple"] = True
    names = [entry.flag, *([about.short] if about.short else []), _destination(entry)]
    return click.option(
        *names,
        cls=Option,
        formerly=about.formerly,
        default=_default(entry),
        required=about.default is settings.REQUIRED,
        show_default=about.shown if isinstance(about.shown, str) else _is_something(about.default),
        help=about.help or None,
        metavar=about.metavar or None,
        envvar=about.environment or None,
        **more,
    )


def _is_something(default: Any) -> bool:
    """Whether a default is worth showing."""
    return not (default is None or default is False or default == () or default == {})


def _default(entry: Entry) -> Any:
    default = entry.setting.default
    if default is settings.REQUIRED:
        return None
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
        return Pair(typing.get_args(kind)[1] is float)
    if kind is int:
        return click.IntRange(min=None if about.low is None else int(about.low))
    if kind is float:
        return Number(min=about.low if about.above is None else about.above, min_open=about.above is not None)
    if kind is settings.Picture:
        return Picture()
    return click.Path(path_type=Path) if kind is Path else kind


def open_dataset(chosen: settings.Data) -> Dataset:
    """The data set that the options name."""
    from pipeline.datasets import registry

    if "targets" in chosen.settings:
        raise click.UsageError("--set targets=...: give --targets CLASS,...")
    names = [t for t in chosen.targets.split(",") if t.strip()] if chosen.targets else None
    return registry.load(chosen.dataset, chosen.root, targets=names, **chosen.settings)


def open_scheduler(chosen: settings.Scheduling) -> Scheduler:
    """Where the options say to run."""
    from pipeline.stages.engine import Scheduler

    if sum(x is not None for x in (chosen.workers, chosen.threads, chosen.scheduler)) > 1:
        raise click.UsageError("give only one of --workers, --threads and --scheduler")
    return Scheduler(chosen.workers, chosen.scheduler, chosen.threads)


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
        It can be no folder: a part of its path is a file.
    """
    from pipeline.workspace.stores import Workspace

    there = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), path)
    if not there.is_dir():
        raise AdaprepError(f"the workspace cannot be {path}: {there} is not a folder. Choose another.")
    return Workspace(path)


def open_held(chosen: settings.Held, workspace: Path) -> tuple[Dataset, dict[str, list[Frame]]]:
    """A data set and its frames by split: the one named, or else the one that the workspace holds.

    The name of a data set of the user's own says nothing without its YAML file: it is the workspace's.
    """
    from pipeline.datasets import registry
    from pipeline.stages import inputs

    name, place = chosen.dataset, open_workspace(workspace)
    own = name not in registry.names() and name in place.datasets() and not Path(str(name)).is_file()
    if name is None or own:
        return inputs.held_frames(place, chosen.splits, chosen.root, chosen.targets, name)
    data = open_dataset(settings.Data(dataset=name, root=chosen.root, targets=chosen.targets))
    return data, {split: data.frames(split) for split in inputs.existing_splits(data, chosen.splits)}
