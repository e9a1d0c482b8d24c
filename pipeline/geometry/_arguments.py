"""Checks of the arguments that compiled loops rely on: they would reach beyond their arrays in silence."""

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SIDE = 2**30
"""Pixels, or points, along a side: the loops number rows and edges in 32 bits."""


def whole(what: str, value: Any, least: int, most: int = MAX_SIDE) -> int:
    """A whole number in a range, as an int. Raises ValueError that says `what` it is."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{what} is {value!r}, must be a whole number") from None
    if not least <= number <= most:
        raise ValueError(f"{what} is {number}, must be {least} to {most}")
    return number


def sides(what: str, size: Any, least: int) -> tuple[int, int]:
    """One whole number for both sides, or a pair of them. Raises ValueError that says `what` they are of."""
    try:
        pair = tuple(size)
    except TypeError:
        pair = (size, size)
    if len(pair) != 2:
        raise ValueError(f"{what} is {size!r}, must be one number or (height, width)")
    try:
        height, width = operator.index(pair[0]), operator.index(pair[1])
    except TypeError:
        raise ValueError(f"{what} is {size!r}, must be whole numbers") from None
    if min(height, width) < least:
        raise ValueError(f"{what} is {height} x {width}, must be at least {least} x {least}")
    if max(height, width) > MAX_SIDE:
        raise ValueError(f"{what} is {height} x {width}, must be at most {MAX_SIDE} a side")
    return height, width


def numbers(what: str, array: NDArray[Any]) -> None:
    """Refuse what is no array of real numbers. Raises ValueError."""
    if not (np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)):
        raise ValueError(f"{what} of shape {array.shape} has dtype {array.dtype}, must be real numbers")
