"""What the command line takes as values: grids, numbers with commas, files of pictures, devices."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from pipeline import settings
from pipeline.doors import is_door
from pipeline.errors import AdaprepError


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


class Whole(click.IntRange):
    """A whole number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is no whole number", param, ctx)
        return super().convert(value, param, ctx)


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


class Number(click.FloatRange):
    """A finite number in a range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


class KeyValue(click.ParamType):  # type: ignore[type-arg]
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


class Device(click.ParamType):  # type: ignore[type-arg]
    """Where networks run: auto, cpu, cuda, a GPU by its number, mps."""

    name = "DEVICE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not settings.DEVICES.fullmatch(str(value)):
            self.fail(f"{value!r} is no device: give auto, cpu, cuda, cuda:N or mps", param, ctx)
        return str(value)


class Adaptive(click.ParamType):  # type: ignore[type-arg]
    """The least and the most of something: 2:8."""

    name = "MIN:MAX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        least, _, most = str(value).partition(":")
        if not (least.isdecimal() and most.isdecimal() and 1 <= int(least) <= int(most)):
            self.fail(f"{value!r}: give the least and the most processes, such as 1:8", param, ctx)
        return str(value)


HERE = "{} is an address of a store: this command takes a file or folder of this machine here"


def is_address(text: str) -> bool:
    """Whether a path is written as an address of an object store."""
    from pipeline import storage

    return storage.ADDRESS.match(text) is not None


class Picture(click.ParamType):  # type: ignore[type-arg]
    """A file that a picture is written to: its suffix says the format."""

    name = "FILE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from pipeline import marks

        path = Path(value)
        if is_address(str(value)):
            self.fail(HERE.format(value), param, ctx)
        try:
            marks.check_suffix(path)
        except AdaprepError as error:
            self.fail(str(error), param, ctx)
        return path


class PathType(click.Path):
    """A path; where it may lie elsewhere, also in an object store or an archive.

    Parameters
    ----------
    elsewhere
        Whether that is allowed.
    folders
        Whether it may be a folder.
    """

    def __init__(self, elsewhere: bool, folders: bool = True) -> None:
        super().__init__(path_type=Path, dir_okay=folders)
        self.elsewhere = elsewhere

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        from pipeline import storage

        path = Path(str(super().convert(value, param, ctx)))
        if not self.elsewhere and is_address(str(path)):
            self.fail(HERE.format(value), param, ctx)
        try:
            return storage.as_path(str(value)) if self.elsewhere else path
        except AdaprepError as error:
            self.fail(str(error), param, ctx)
