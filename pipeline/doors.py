"""Code of the user's own, named as ``package.module:factory`` on the command line or in a recipe of theirs.

A file of somebody else's, such as a checkpoint or a workspace, never decides which code runs: where it names
some, that is used only if the user has given the same name (`given`).
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pipeline.errors import AdaprepError

DOOR = "package.module:factory"
PATTERN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def is_door(name: object) -> bool:
    """Whether a name is written as ``package.module:factory``."""
    return isinstance(name, str) and PATTERN.fullmatch(name) is not None


_GIVEN: ContextVar[frozenset[str]] = ContextVar("given", default=frozenset())


@contextmanager
def given(names: Iterable[str]) -> Iterator[None]:
    """Remember the doors that the user has named, on the command line or in a recipe."""
    token = _GIVEN.set(_GIVEN.get() | frozenset(names))
    try:
        yield
    finally:
        _GIVEN.reset(token)


def is_given(name: str) -> bool:
    """Whether the user has named this door."""
    return name in _GIVEN.get()


def are_given() -> bool:
    """Whether the user has named any door."""
    return bool(_GIVEN.get())


def among(values: Mapping[str, Any]) -> Iterator[str]:
    """The doors among the values of a command's options."""
    for value in values.values():
        yield from filter(is_door, value if isinstance(value, (list, tuple)) else (value,))


@contextmanager
def working_folder() -> Iterator[None]:
    """Put the working folder last on the path of imports: what is installed comes first."""
    here = os.getcwd()
    sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        place = len(sys.path) - 1 - sys.path[::-1].index(here) if here in sys.path else None
        if place is not None:
            del sys.path[place]


def opened(path: str, what: str, names: Iterable[str]) -> Callable[..., Any]:
    """The function or class that ``package.module:factory`` names.

    Parameters
    ----------
    what
        It makes, for the message: "base network".
    names
        That could have been given instead.

    Raises
    ------
    AdaprepError
        It is not written so, there is no such module or function, or importing it fails.
    """
    module_name, colon, function_name = path.partition(":")
    if not (module_name and colon and function_name):
        raise AdaprepError(
            f"no {what} is called {path!r}. Give one of {', '.join(names)}, or your own as {DOOR}."
        )
    try:
        with working_folder():
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise AdaprepError(f"{path}: importing {module_name} failed: {error}.") from error
        raise AdaprepError(
            f"{path}: there is no module {error.name}, neither installed nor in {os.getcwd()}. Install it, "
            f"go to the folder that holds it, or add that folder to PYTHONPATH."
        ) from error
    except Exception as error:
        raise AdaprepError(
            f"{path}: importing {module_name} failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        word = "has no" if function is None else "has no function"
        raise AdaprepError(f"{path}: {module.__file__ or module_name} {word} {function_name}.")
    found: Callable[..., Any] = function
    return found
