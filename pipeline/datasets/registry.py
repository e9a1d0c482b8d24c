"""The data sets by name, and where each is looked for."""

from __future__ import annotations

import importlib
import inspect
import os
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import doors
from pipeline.datasets.base import Dataset
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_nodes import did_you_mean
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.storage import as_path, is_dir

MODULES = {
    "apolloscape": "pipeline.datasets.apolloscape:ApolloScape",
    "cityscapes": "pipeline.datasets.cityscapes:Cityscapes",
    "synthia-rand": "pipeline.datasets.synthia:SynthiaRand",
    "synthia-rand-cityscapes": "pipeline.datasets.synthia:SynthiaRandCityscapes",
    "synthia-seqs": "pipeline.datasets.synthia:SynthiaSeqs",
    "supervisely": "pipeline.datasets.supervisely:Supervisely",
    "camvid": "pipeline.datasets.camvid:CamVid",
    "camvid-by-sequence": "pipeline.datasets.camvid:CamVidBySequence",
    "demo": "pipeline.datasets.demo:Demo",
}
STATED = ("name", "title", "splits", "table", "archives")
"""What the class of a data set says as data."""

DATA = "ADAPREP_DATA"
SWITCHES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
WANTED = {str: "a word", int: "a whole number", float: "a number", bool: "true or false"}


def names() -> tuple[str, ...]:
    """The names that --dataset takes, besides YAML files."""
    return tuple(MODULES)


def load(
    name: str | Path, root: Path | None = None, /, targets: Sequence[str] | None = None, **settings: Any
) -> Dataset:
    """A data set by its name, or the one that a YAML file describes.

    Parameters
    ----------
    name
        One of `names()`, the path of a YAML file (docs/your-own-data.md), or ``package.module:factory``: a
        class derived from `Dataset`, or a function of the root and the settings that returns one. That is
        imported, so it must come from the user.
    root
        The folder it lies in. By default the first there is of: the data set's own environment variable,
        `$ADAPREP_DATA/name`, `./data/name`; of a YAML file, what the file says.
    targets
        Names of the target classes, instead of the data set's own.
    settings
        Keyword arguments of the data set's class, as text or as they are.

    Raises
    ------
    AdaprepError
        Unknown name, setting or class; or no root is given and none of the usual folders is there.
    """
    dataset = _open(str(name), root, settings)
    if targets is not None:
        dataset.classes = dataset.classes.with_targets(targets)
    return dataset


def describe() -> list[dict[str, Any]]:
    """A row a data set: name, title, splits, classes, target classes, and where it was looked for."""
    rows = []
    for name in names():
        kind = _class(name)
        table = kind.table
        rows.append(
            {
                "name": name,
                "title": kind.title,
                "splits": ", ".join(kind.splits),
                "classes": len(table.names),
                "targets": ", ".join(table.names[t] for t in table.targets),
                "place": _describe_place(name, kind),
            }
        )
    return rows


def places(name: str) -> list[Path]:
    """Where a data set is looked for when no root is given, first to last."""
    return [place for _, place in _places(name, _class(name))]


def _open(name: str, root: Path | None, settings: dict[str, Any]) -> Dataset:
    root = expanded(root) if root else None
    if name not in MODULES and (name.endswith((".yaml", ".yml")) or os.path.isfile(name)):
        from pipeline.datasets.custom import Custom

        if settings:
            raise AdaprepError(f"{name}: a data set of your own has no setting {next(iter(settings))!r}")
        return Custom(expanded(Path(name), absolute=False), root)
    if doors.is_door(name):
        return _made(name, root, settings)
    if name not in MODULES:
        raise AdaprepError(
            f"no data set {short(name)}{did_you_mean(name, names())} "
            f"The data sets are: {', '.join(names())}; or give a YAML file that describes your own "
            f"(docs/your-own-data.md), or {doors.DOOR}."
        )
    kind = _class(name)
    values = _settings(name, kind, settings)
    return kind(root or _root(name, kind), **values)


def _made(name: str, root: Path | None, settings: dict[str, Any]) -> Dataset:
    """Of the user's own code."""
    factory: Any = doors.opened(name, "data set", names())
    own = isinstance(factory, type) and issubclass(factory, Dataset)
    if own and (missing := [about for about in STATED if not hasattr(factory, about)]):
        raise AdaprepError(
            f"{name} does not state its {', '.join(missing)}: see docs/code.md, a new data set."
        )
    values = _settings(name, factory, settings) if own else settings
    place = (root or _root(factory.name, factory)) if own else root
    try:
        made: object = factory(place, **values)
    except AdaprepError:
        raise
    except Exception as error:
        raise AdaprepError(f"{name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, Dataset):
        raise AdaprepError(
            f"{name} returned a {type(made).__name__}, must be a pipeline.datasets.base.Dataset."
        )
    if made.name in MODULES:
        raise AdaprepError(
            f"{name} calls its data set {made.name}, as one of adaprep's is called: give it another name."
        )
    made.door = name
    return made


def name_of(door: str) -> str:
    """What the data set of the user's own code is called, which a class says without its files."""
    factory: Any = doors.opened(door, "data set", names())
    own = isinstance(factory, type) and issubclass(factory, Dataset) and hasattr(factory, "name")
    return str(factory.name) if own else load(door).name


def _class(name: str) -> type[Dataset]:
    module, attribute = MODULES[name].split(":")
    found: type[Dataset] = getattr(importlib.import_module(module), attribute)
    return found


def _places(name: str, kind: type[Dataset]) -> list[tuple[str, Path]]:
    """How each place is called, and which folder it is."""
    candidates, folder = [], kind.folder or name
    if kind.environment and (own := os.environ.get(kind.environment)):
        candidates.append((f"${kind.environment}", Path(own)))
    if data := os.environ.get(DATA):
        candidates.append((f"${DATA}/{folder}", Path(data) / folder))
    candidates.append((f"./data/{folder}", Path("data") / folder))
    return [(called, expanded(path)) for called, path in candidates]


def expanded(path: Path, absolute: bool = True) -> Path:
    """A path with ~ written out. Raises AdaprepError where there is no such user."""
    try:
        path = as_path(path).expanduser()
    except RuntimeError as error:
        raise AdaprepError(f"{printable(str(path))}: there is no such user here") from error
    return path.absolute() if absolute else path


def _root(name: str, kind: type[Dataset]) -> Path:
    candidates = _places(name, kind)
    for _, place in candidates:
        if is_dir(place):
            return place
    listed = "\n".join(f"  {place} ({called})" for called, place in candidates)
    raise AdaprepError(
        f"{name}: not found. Looked for the folders\n{listed}\n{kind.archives}\n"
        f"If the data are elsewhere, give --root FOLDER, or set {DATA} to the folder above "
        f"{kind.folder or name}."
    )


def _describe_place(name: str, kind: type[Dataset]) -> str:
    candidates = _places(name, kind)
    found = next((str(place) for _, place in candidates if is_dir(place)), None)
    return found or f"not found: looked in {', '.join(called for called, _ in candidates)}"


def _settings(name: str, kind: type[Dataset], given: dict[str, Any]) -> dict[str, Any]:
    """Checked against the constructor of the class, texts turned into what it takes."""
    constructor = kind.__init__
    hints = typing.get_type_hints(constructor)
    known = tuple(p for p in inspect.signature(constructor).parameters if p not in ("self", "root"))
    values = {}
    for key, value in given.items():
        if key not in known:
            listed = f" Its settings are: {', '.join(known)}" if known else " It has none."
            raise AdaprepError(f"{name} has no setting {short(key)}{did_you_mean(key, known)}{listed}")
        values[key] = _converted(name, key, value, hints.get(key, str))
    return values


def _converted(name: str, key: str, value: Any, kind: Any) -> Any:
    if kind not in WANTED or type(value) is kind:
        return value
    try:
        if not isinstance(value, str):
            raise ValueError
        return SWITCHES[value.lower()] if kind is bool else kind(value)
    except (KeyError, ValueError) as error:
        raise AdaprepError(f"{name}: the setting {key} must be {WANTED[kind]}, got {short(value)}") from error
