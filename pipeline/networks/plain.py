"""Plain data in a checkpoint: what may be written, compared and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def check(value: Any, where: str) -> None:
    """Refuse what would not be read again with ``weights_only``, or reads back as something else."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if type(key) is not str:
                raise ValueError(f"{where} has the key {key!r} of type {type(key).__name__}, must be str")
            check(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            check(item, f"{where}[{index}]")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise ValueError(
            f"{where} is a {type(value).__name__}, must be plain data: "
            "str, int, float, bool, None, lists, dicts"
        )


def as_lists(value: Any) -> Any:
    """With tuples and lists alike."""
    return [as_lists(item) for item in value] if isinstance(value, (list, tuple)) else value


def shown(value: Any) -> str:
    """Sides of a grid as ``8 x 8``."""
    if isinstance(value, (list, tuple)) and value and all(type(item) is int for item in value):
        return " x ".join(str(item) for item in value)
    return str(value)
