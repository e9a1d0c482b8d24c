"""The commands that messages and reports tell people to run, made of the commands' own settings."""

from __future__ import annotations

import importlib
from typing import Any

from pipeline import settings


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
    owner = importlib.import_module(f"pipeline.commands.{name.replace('-', '_')}").Options
    flags = {f"--{key.rstrip('_').replace('_', '-')}": value for key, value in values.items()}
    if unknown := flags.keys() - {entry.flag for entry in settings.all_entries(owner)}:
        raise ValueError(f"adaprep {name} has no {', '.join(sorted(unknown))}")
    given = {flag: value for flag, value in flags.items() if value is not None}
    return settings.command_line(name, settings.build(owner, given))
