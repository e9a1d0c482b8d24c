"""Writing values and paths into the YAML files that describe data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml


def flow(value: Any) -> str:
    """A value on one line, quoted where YAML would read it otherwise."""
    dumped: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9
    )
    return dumped.removesuffix("\n").removesuffix("\n...")


def pair(key: str, value: Any) -> str:
    """A key with its value on one line."""
    return f"{flow(key)}: {flow(value)}"


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, so that both can be moved together; absolute on another drive.

    Parameters
    ----------
    path, folder
        Of which neither need exist; relative ones are below the working folder.
    """
    here, there = os.path.abspath(path), os.path.abspath(folder)
    try:
        return Path(os.path.relpath(here, there)).as_posix()
    except ValueError:
        return Path(here).as_posix()
