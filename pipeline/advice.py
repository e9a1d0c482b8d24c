"""The commands that messages, reports and pages tell people to run, made of the commands' own settings.

What is advised belongs to the command that is running: its workspace is part of every line, unless it is the
usual one.
"""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from pipeline import settings


@dataclass(frozen=True)
class _Running:
    """The command that this process runs, and its options."""

    name: str
    options: Any


_RUNNING: ContextVar[_Running | None] = ContextVar("running", default=None)


@contextmanager
def running(name: str, options: Any) -> Iterator[None]:
    """Remember which command runs, for what it advises."""
    token = _RUNNING.set(_Running(name, options))
    try:
        yield
    finally:
        _RUNNING.reset(token)


def command(name: str, **values: Any) -> str:
    """A command line with these options; what is its default is left out.

    Parameters
    ----------
    values
        By the options' names: `aux_resolution` for ``--aux-resolution``, `lambda_` for ``--lambda``. None
        stands for an option that is not given.

    Raises
    ------
    ValueError
        The command has no such option.
    """
    owner = _options(name)
    known = {entry.flag for entry in settings.all_entries(owner)}
    flags = {f"--{key.rstrip('_').replace('_', '-')}": value for key, value in values.items()}
    if unknown := flags.keys() - known:
        raise ValueError(f"adaprep {name} has no {', '.join(sorted(unknown))}")
    if "--workspace" in known:
        flags.setdefault("--workspace", _workspace())
    given = {flag: value for flag, value in flags.items() if value is not None}
    return settings.command_line(name, settings.build(owner, given))


def line(name: str, words: Sequence[object]) -> str:
    """A command line of these options and values, each a word, quoted for a shell; defaults stay in it.

    Raises
    ------
    ValueError
        The command has no such option.
    """
    texts = [str(word) for word in words]
    given = {text.partition("=")[0] for text in texts if text.startswith("--")}
    if unknown := given - {entry.flag for entry in settings.all_entries(_options(name))}:
        raise ValueError(f"adaprep {name} has no {', '.join(sorted(unknown))}")
    return shlex.join(["adaprep", name, *texts])


def _options(name: str) -> type:
    """The class of a command's options."""
    found: type = importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}").Options
    return found


def again(name: str, **changes: Any) -> str:
    """The command that is running, with these fields changed; else the command `name` without options."""
    now = _RUNNING.get()
    if now is None:
        return command(name)
    return settings.command_line(now.name, replace(now.options, **changes))


def together(processes: int, line: str) -> str:
    """A command line for several processes that train one network together."""
    return f"torchrun --nproc-per-node {processes} -m {line}"


def _workspace() -> Any:
    """That of the command that is running; None where it has none, or is the usual one."""
    now = _RUNNING.get()
    return getattr(now.options, "workspace", None) if now else None
