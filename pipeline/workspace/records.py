"""What the JSON files of a workspace must hold before anything of them is used: one description a kind.

A file may be cut, emptied, edited by hand, or come with a workspace from somebody else. What passes here has
every value that tables, charts and commands take from it, of the right type and finite.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.geometry.crops import CENTRAL, WHOLE
from pipeline.names import printable
from pipeline.samplers import registry
from pipeline.workspace import disk
from pipeline.workspace.per_image import PerImage

Check = Callable[[Any, str], None]
"""Takes a value and where it stands; raises ValueError where it is not as it should be."""

LARGEST = 2**53
"""Of whole numbers: beyond, not all of them are floating-point numbers."""

LONGEST = 10_000
"""Characters of one text."""


def read(path: Path, check: Check) -> dict[str, Any]:
    """Read a JSON object and check it. Raises AdaprepError with the path and what is wrong."""
    content = disk.read_json(path)
    try:
        check(content, "")
    except ValueError as error:
        raise AdaprepError(
            f"{path} is damaged: {printable(str(error))}. Delete it, and run the command that makes it again."
        ) from error
    return content


def number(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{place} is no number")
    if (isinstance(value, float) and not math.isfinite(value)) or abs(value) > 1e15:
        raise ValueError(f"{place} is no number that can be: {str(value)[:20]}")


def positive(value: Any, place: str) -> None:
    number(value, place)
    if value <= 0:
        raise ValueError(f"{place} is not above 0")


def whole(value: Any, place: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{place} is no whole number")
    if not 0 <= value <= LARGEST:
        raise ValueError(f"{place} is negative or too large")


def flag(value: Any, place: str) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{place} is neither true nor false")


def side(value: Any, place: str) -> None:
    whole(value, place)
    if not 1 < value < 2**20:
        raise ValueError(f"{place} is no number of pixels or samples along a side: {value}")


def text(value: Any, place: str) -> None:
    if not isinstance(value, str) or len(value) > LONGEST:
        raise ValueError(f"{place} is no text of at most {LONGEST} characters")


def anything(value: Any, place: str) -> None: ...


def maybe(check: Check) -> Check:
    """That, or null."""

    def checked(value: Any, place: str) -> None:
        if value is not None:
            check(value, place)

    return checked


def one_of(*allowed: Any) -> Check:
    def checked(value: Any, place: str) -> None:
        if not isinstance(value, str | int) or value not in allowed:
            raise ValueError(f"{place} is none of {', '.join(map(str, allowed))}")

    return checked


def many(check: Check, lengths: Iterable[int] = ()) -> Check:
    """A list, of one of these lengths if any are given."""
    allowed = tuple(lengths)

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, list) or (allowed and len(value) not in allowed):
            raise ValueError(f"{place} is no list" + (f" of {allowed[-1]}" if allowed else ""))
        for index, one in enumerate(value):
            check(one, f"{place}[{index}]")

    return checked


def by_name(check: Check, keys: str = ".{0,1000}") -> Check:
    """An object with keys that match a pattern, and values of one kind."""

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{place} is no object")
        for key, one in value.items():
            if not re.fullmatch(keys, key, re.DOTALL):
                raise ValueError(f"{place} has the key {key[:40]!r}")
            check(one, f"{place}.{key}")

    return checked


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object that has at least these keys; those that are not named may hold anything."""

    def checked(value: Any, place: str) -> None:
        if not isinstance(value, dict):
            raise ValueError(f"{place or 'the content'} is no object")
        for key, check in required.items():
            if key not in value:
                raise ValueError(f"{place + '.' if place else ''}{key} is missing")
            check(value[key], f"{place + '.' if place else ''}{key}")
        for key, check in (optional or {}).items():
            if key in value:
                check(value[key], f"{place + '.' if place else ''}{key}")

    return checked


def sampler(value: Any, place: str) -> None:
    if not registry.is_name(value):
        raise ValueError(f"{place} is none of {', '.join(registry.names())}, nor {doors.DOOR}")
    text(value, place)


GRID = many(side, (2,))
FIGURE = maybe(number)
OWN_METRICS = by_name(by_name(anything))
"""Figures of the user's own metrics: of what kind is their business; tables show those that are numbers."""

TRIMAP = by_name(FIGURE, r"[1-9]\d{0,5}")

_SCHEDULE = {
    "seed": whole,
    "rate": number,
    "epochs": whole,
    "batch_size": whole,
    "weight_decay": number,
    "validate_every": whole,
    "augmentation": by_name(number),
}
_AUXILIARY = record(
    {
        **_SCHEDULE,
        "resolution": side,
        "filter": text,
        "loss": text,
        "features": whole,
        "grid": GRID,
        "lambda": number,
    },
    {
        "encoder": text,
        "head": text,
        "start": text,
        "through": text,
        "zoom": number,
        "mirrored": flag,
        "patience": whole,
    },
)
_BASE = record(
    {**_SCHEDULE, "architecture": text, "sampler": sampler, "resolution": side},
    {
        "grid": maybe(GRID),
        "lambda": FIGURE,
        "auxiliary": maybe(text),
        "pretrained": maybe(text),
        "region": one_of(CENTRAL, WHOLE),
        "filter": one_of("area", "nearest"),
        "class_weights": text,
        "weight_by_class": maybe(by_name(number)),
        "loss": text,
        "area_weight": number,
        "patience": whole,
    },
)
_OF_SAMPLERS: dict[str, Check] = {"grid": GRID, "lambda": number, "auxiliary": text, "mean": text}


def _settings(value: Any, place: str) -> None:
    record({"network": one_of("auxiliary", "base")})(value, place)
    if value["network"] == "auxiliary":
        return _AUXILIARY(value, place)
    _BASE(value, place)
    needed = registry.kind(value["sampler"]).recorded
    checks = {
        name: maybe(_OF_SAMPLERS[name]) if null else _OF_SAMPLERS[name] for name, null in needed.items()
    }
    record(checks)(value, place)


SETTINGS = record(
    {"settings": _settings},
    {"versions": by_name(text), "machine": record({}, {"precision": maybe(text), "device": maybe(text)})},
)
"""settings.json of a run."""

RESULT = record(
    {"epochs": whole, "best_epoch": whole, "figures": by_name(FIGURE), "seconds": FIGURE},
    {"weights": text},
)
"""result.json of a run."""


def _per_image(value: Any, place: str) -> None:
    record({"images": text, "shape": many(whole, (3,))})(value, place)
    try:
        PerImage.read(value)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


_BINS = many(record({"objects": whole, "pixels": many(whole, (2,)), "recall": FIGURE}), (0, 4))
_SYSTEM = record(
    {
        "name": text,
        "sampler": text,
        "resolution": side,
        "gmacs": positive,
        "miou": FIGURE,
        "target_miou": FIGURE,
        "accuracy": FIGURE,
        "iou": by_name(FIGURE),
        "trimap": TRIMAP,
        "object_recall": FIGURE,
        "recall_by_size": _BINS,
        "folded_cells": whole,
    },
    {"recall_by_class": by_name(_BINS), "metrics": OWN_METRICS, "per_image": _per_image},
)
EVALUATION = record(
    {
        "run": text,
        "dataset": text,
        "split": text,
        "settings": record(
            {"architecture": text, "sampler": sampler, "resolution": side, "seed": whole},
        ),
        "systems": many(_SYSTEM),
        "images": whole,
        "measured_at": text,
        "crop_sides": many(whole, (2,)),
        "targets": many(text),
        "objects_from": maybe(text),
        "classes_never_seen": many(text),
        "notes": many(text),
    },
    {
        "milliseconds": by_name(maybe(positive)),
        "milliseconds_at": text,
        "weights": text,
        "region": one_of(CENTRAL, WHOLE),
        "squares": many(whole, (2,)),
    },
)
"""evaluation-SPLIT.json and whole-image-SPLIT.json of a run."""

BOUND = record(
    {
        "images": whole,
        "measured_at": text,
        "targets": many(text),
        "failures": many(anything),
        "settings": many(
            record(
                {
                    "resolution": side,
                    "sampler": text,
                    "grid": maybe(GRID),
                    "lambda": FIGURE,
                    "miou": FIGURE,
                    "target_miou": FIGURE,
                    "trimap": TRIMAP,
                    "object_recall": FIGURE,
                    "folded_cells": whole,
                },
                {"auxiliary": maybe(text), "metrics": OWN_METRICS},
            )
        ),
    }
)
"""upper-bound-SPLIT.json of a data set."""

FAILURES = record({"failures": many(record({"name": text, "reason": text}))})
"""failures-STAGE.json of a split."""
