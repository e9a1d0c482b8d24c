"""What the fields of a checkpoint may hold: looked at before anything relies on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import doors
from pipeline.names import printable
from pipeline.samplers import registry

MAX_CLASSES = 255
MAX_SIDE = 1 << 16
MAX_TEXT = 4096
MAX_VALUES = 1_000_000
"""Values of plain data in one file; training needs a few for each weight's name."""
MAX_DEPTH = 20
SHARING = 4
"""How many times the bytes of all storages the weights may take: tied weights are there twice."""

DTYPES = frozenset(
    {
        *(torch.float64, torch.float32, torch.float16, torch.bfloat16),
        *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
    }
)

Check = Callable[[Any], bool]


class FieldError(Exception):
    """A field that does not hold what it should: "its FIELD is ..., must be ..."."""


def is_count(value: Any, low: int = 1, high: int = MAX_SIDE) -> bool:
    """Whether it is a whole number in a range, and no bool."""
    return type(value) is int and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether it is a finite int or float."""
    return type(value) in (int, float) and math.isfinite(value)


def is_text(value: Any) -> bool:
    """Whether it is a short text and not empty."""
    return isinstance(value, str) and 0 < len(value) <= MAX_TEXT


def is_list(value: Any, check: Check, low: int, high: int) -> bool:
    """Whether it is a list or tuple of so many values that each pass."""
    return isinstance(value, (list, tuple)) and low <= len(value) <= high and all(map(check, value))


def _is_pair(value: Any) -> bool:
    return is_list(value, lambda side: is_count(side, 2), 2, 2)


def _is_names(value: Any) -> bool:
    return is_list(value, is_text, 1, MAX_CLASSES)


def _is_figures(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(name, str) and type(number) in (int, float) for name, number in value.items()
    )


def _is_row(value: Any) -> bool:
    return is_list(value, is_number, 2, MAX_SIDE)


def _is_tensor(value: Any) -> bool:
    """Nested lists of a sampling tensor's shape and range."""
    if not is_list(
        value, lambda part: is_list(part, lambda row: is_list(row, is_number, 2, MAX_SIDE), 2, MAX_SIDE), 2, 2
    ):
        return False
    widths = {len(row) for part in value for row in part}
    inside = all(0 <= x <= 1 for part in value for row in part for x in row)
    return len(widths) == 1 and len(value[0]) == len(value[1]) and inside


_ABOUT: dict[str, tuple[Check, str]] = {
    "dataset": (is_text, "a name"),
    "class_names": (_is_names, f"a list of 1 to {MAX_CLASSES} names"),
    "targets": (lambda v: is_list(v, lambda t: is_text(t) or is_count(t, 0), 0, MAX_CLASSES), "a list"),
    "training_split": (is_text, "a name"),
    "sampler": (
        lambda v: registry.is_name(v) and is_text(v),
        f"{', '.join(registry.names())} or {doors.DOOR}",
    ),
    "resolution": (lambda v: is_count(v, 2), f"a number of pixels from 2 to {MAX_SIDE}"),
    "filter": (lambda v: v in ("area", "nearest"), "area or nearest"),
    "loss": (is_text, "a name"),
    "zoom": (lambda v: is_number(v) and v >= 0, "a number of at least 0"),
    "lambda": (lambda v: v is None or (is_number(v) and v >= 0), "a number of at least 0"),
    "grid": (lambda v: v is None or _is_pair(v), "two sides of at least 2"),
    "auxiliary": (lambda v: v is None or is_text(v), "an identity"),
    "mean": (is_text, "an identity"),
    "tensor": (lambda v: _is_tensor(v), "2 x h x w numbers from 0 to 1"),
    "epoch": (lambda v: is_count(v, 0, 1 << 62), "a number of epochs"),
    "figures": (_is_figures, "numbers by name"),
}

ARGUMENTS: dict[str, dict[str, tuple[Check, str]]] = {
    "unet": {
        "classes": (lambda v: is_count(v, 1, MAX_CLASSES), f"1 to {MAX_CLASSES}"),
        "widths": (lambda v: is_list(v, is_count, 1, 16), "1 to 16 numbers of features"),
        "in_channels": (lambda v: v in (3, 6) and type(v) is int, "3, or 6 with those of the tensor"),
    },
    "pspnet": {"classes": (lambda v: is_count(v, 1, MAX_CLASSES), f"1 to {MAX_CLASSES}")},
    "deeplabv3plus": {"classes": (lambda v: is_count(v, 1, MAX_CLASSES), f"1 to {MAX_CLASSES}")},
    "efficientnet-lite0": {"classes": (lambda v: is_count(v, 1, MAX_CLASSES), f"1 to {MAX_CLASSES}")},
    "auxiliary": {
        "resolution": (lambda v: is_count(v, 2), f"a number of pixels from 2 to {MAX_SIDE}"),
        "grid": (_is_pair, "two sides of at least 2"),
        "features": (is_count, "a number of features"),
        "first": (is_count, "a number of features"),
        "mean": (lambda v: is_list(v, is_number, 3, 3), "three numbers"),
        "std": (lambda v: is_list(v, lambda s: is_number(s) and s > 0, 3, 3), "three numbers above 0"),
        "encoder": (lambda v: v in ("plain", "efficientnet-lite0"), "plain or efficientnet-lite0"),
        "solver": (lambda v: is_number(v) and v >= 0, "a lambda of at least 0"),
        "mirrored": (lambda v: type(v) is bool, "true or false"),
    },
}
"""Arguments that a file may give to the networks of `pipeline.networks`, by network: never a path."""

NEEDED_ARGUMENTS = {"auxiliary": ("resolution", "grid")}
"""By network; ``classes`` of all others."""


def check(content: Mapping[str, Any], stored: int) -> None:
    """Refuse fields of a wrong kind.

    Parameters
    ----------
    content
        The file's fields, all there: kind, network, arguments, state, about, training.
    stored
        Bytes of the file's storages.

    Raises
    ------
    FieldError
        Names the field, and what it must be.
    """
    if not isinstance(content["kind"], str):
        raise _wrong("kind", content["kind"], "a text")
    if not is_text(content["network"]):
        raise _wrong("network", content["network"], "a name")
    _check_state(content["state"], stored)
    left = [MAX_VALUES]
    for name in ("arguments", "about", "training"):
        if not isinstance(content[name], dict):
            raise _wrong(name, content[name], "a dictionary")
        _count(content[name], name, left, 0, name == "training")
    _check_each(content["about"], _ABOUT, "about")


def check_arguments(network: str, arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that a network's constructor does not take, or not so.

    Of a network that is not ours: anything but numbers, for a text may be a path.

    Raises
    ------
    FieldError
        Names the argument.
    """
    known = ARGUMENTS.get(network)
    for name in NEEDED_ARGUMENTS.get(network, ("classes",)):
        if name not in arguments:
            raise FieldError(f"its arguments do not say {name}")
    if known is None:
        _check_each(arguments, {"classes": ARGUMENTS["unet"]["classes"]}, "arguments")
        for name, value in arguments.items():
            if not _is_numbers(value):
                raise _wrong(f"arguments[{name!r}]", value, "a number or numbers: texts are not passed on")
        return
    for name in arguments:
        if name not in known:
            raise FieldError(f"its arguments hold {_shown(name)}, which {network} does not take")
    _check_each(arguments, known, "arguments")


def check_grid(arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Refuse a grid, which takes memory, that is not the weights' own. Raises FieldError."""
    mean, grid = state.get("mean_grid"), tuple(arguments["grid"])
    if mean is None or tuple(mean.shape) != (2, *grid):
        shape = "not there" if mean is None else tuple(mean.shape)
        raise FieldError(f"its arguments['grid'] is {grid}, but its weights 'mean_grid' are {shape}")


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Refuse weights that are no numbers. Raises FieldError."""
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise FieldError(f"its weights {_shown(name)} are no numbers")


def _check_each(values: Mapping[str, Any], known: Mapping[str, tuple[Check, str]], where: str) -> None:
    for name, (passes, words) in known.items():
        if name in values and not passes(values[name]):
            raise _wrong(f"{where}[{name!r}]", values[name], words)


def _check_state(state: Any, stored: int) -> None:
    if not isinstance(state, dict):
        raise _wrong("state", state, "a dictionary of tensors")
    total = 0
    for name, tensor in state.items():
        if not isinstance(name, str) or type(tensor) not in (Tensor, nn.Parameter):
            raise _wrong(f"state[{_shown(name)}]", tensor, "a tensor")
        if tensor.layout != torch.strided or tensor.dtype not in DTYPES or not _is_dense(tensor):
            what = f"{str(tensor.layout).removeprefix('torch.')} {str(tensor.dtype).removeprefix('torch.')}"
            raise FieldError(
                f"its state[{_shown(name)}] of shape {tuple(tensor.shape)} is a {what} tensor with strides "
                f"{_strides(tensor)}, must be a dense tensor of numbers"
            )
        total += tensor.numel() * tensor.element_size()
    if total > SHARING * stored:
        raise FieldError(f"its weights would take {total} bytes, but it holds {stored}")


def _strides(tensor: Tensor) -> tuple[int, ...] | None:
    return tensor.stride() if tensor.layout == torch.strided else None


def _is_dense(tensor: Tensor) -> bool:
    """Whether its elements fill their memory, in any order of the axes, and do not overlap."""
    expected = 1
    for stride, size in sorted((tensor.stride(axis), tensor.shape[axis]) for axis in range(tensor.dim())):
        if size == 0:
            return True
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def _count(value: Any, where: str, left: list[int], depth: int, tensors: bool) -> None:
    """Refuse what is no plain data, nested deeply, or more than `MAX_VALUES` with all that came before."""
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise FieldError(
            f"its {where} holds too much: more than {MAX_VALUES} values, or deeper than {MAX_DEPTH}"
        )
    if isinstance(value, dict):
        for key, item in value.items():
            if type(key) not in (str, int) or (type(key) is str and len(key) > MAX_TEXT):
                raise _wrong(f"{where}, a key,", key, "a short text")
            _count(item, where, left, depth + 1, tensors)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _count(item, where, left, depth + 1, tensors)
    elif type(value) is str:
        if len(value) > MAX_TEXT:
            raise FieldError(f"its {where} holds a text of {len(value)} characters")
    elif type(value) is int:
        if value.bit_length() > 64:
            raise FieldError(f"its {where} holds a number of {value.bit_length()} bits")
    elif not (value is None or type(value) in (float, bool) or (tensors and isinstance(value, Tensor))):
        raise _wrong(where, value, "plain data")


def _is_numbers(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_is_numbers, value))
    return value is None or type(value) in (int, float, bool)


def _wrong(where: str, value: Any, words: str) -> FieldError:
    return FieldError(f"its {printable(where)} is {_shown(value)}, must be {words}")


def _shown(value: Any) -> str:
    """A few words for any value, whatever it holds."""
    if type(value) in (float, bool, type(None)) or (type(value) is int and value.bit_length() <= 64):
        return repr(value)
    if isinstance(value, str):
        return printable(repr(value if len(value) <= 60 else value[:60] + "..."))
    return f"a {type(value).__name__}"
