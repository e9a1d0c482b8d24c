"""What a recipe may say (workflows/README.md), read from YAML and checked before anything is done."""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from pipeline.datasets import registry
from pipeline.datasets.base import Dataset
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_nodes import YamlNode, read_yaml
from pipeline.errors import AdaprepError
from pipeline.names import check_component
from pipeline.recipes.trainings import MAX_LAMBDA, MAX_RESOLUTION, MOST, filled, read_trainings
from pipeline.settings import DEFAULT_WORKSPACE, Device, Precision
from pipeline.train.settings import Auxiliary, Base, Request
from pipeline.workspace.stores import Workspace

PLACES = (
    "root",
    "workspace",
    "device",
    "precision",
    "targets",
    "settings",
    "train_split",
    "val_split",
    "tag",
)
SAMPLING = ("grid", "lambda", "crops")
STEPS = ("generate", "check", "upper_bound", "auxiliary", "base", "evaluate", "report")
"""Keys of a recipe, beside `dataset`: the same for all steps; of the sampling tensors; of one step."""

MAX_CROPS = 999
MAX_GRID = 512
MAX_RUN_NAME = 200
"""Bytes of the name of a run's folder: file systems allow 255."""

MAX_SCENES = 1_000_000
"""Of the data set demo: scenes from this number on are for validation."""

GRID = re.compile(r"([0-9]{1,6})(?:x([0-9]{1,6}))?")
DEVICES = ("auto", "cpu", "cuda")
GUIDE = "workflows/README.md"


@dataclass(frozen=True)
class Generate:
    """How many street scenes to draw for the data set `demo`."""

    train: int = 24
    val: int = 8


@dataclass(frozen=True)
class Bounds:
    """What `adaprep upper-bound` is asked for."""

    split: str
    resolutions: tuple[int, ...]
    grids: tuple[tuple[int, int], ...]
    lambdas: tuple[float, ...]
    limit: int | None = None  # images


@dataclass(frozen=True)
class Overrides:
    """What the command line says in place of the recipe; None: what the recipe says."""

    workspace: Path | None = None
    root: Path | None = None
    device: Device | None = None
    precision: Precision | None = None


@dataclass(frozen=True)
class Recipe:
    """A recipe that makes sense. Its trainings are in the order in which they are done."""

    path: Path
    dataset: Dataset
    said_dataset: str  # as --dataset takes it
    said_root: Path | None  # None: found in one of the usual places
    said_targets: tuple[str, ...]  # empty: the data set's own
    said_settings: Mapping[str, str]  # as --set takes them
    workspace: Path
    splits: tuple[str, str]
    grid: tuple[int, int]
    lam: float
    crops: int | None
    generate: Generate | None
    check: int | None  # images a split
    bounds: Bounds | None
    trainings: tuple[Request, ...]  # of one network each
    evaluated: tuple[str, ...]  # splits
    report: bool
    device: Device

    @property
    def space(self) -> Workspace:
        return Workspace(self.workspace)

    @property
    def samplers(self) -> tuple[str, ...]:
        """``package.module:factory`` of the samplers that are not ours."""
        every = (request.base.sampler for request in self.trainings if request.networks == ("base",))
        return tuple(dict.fromkeys(name for name in every if ":" in name))

    @property
    def factories(self) -> tuple[str, ...]:
        """``package.module:factory`` of the base networks that are not ours."""
        every = (request.base.architecture for request in self.trainings if request.networks == ("base",))
        return tuple(dict.fromkeys(name for name in every if ":" in name))

    @property
    def trained_splits(self) -> list[str]:
        """What networks are trained and validated on; a data set may have no validation split."""
        return [split for split in dict.fromkeys(self.splits) if split in self.dataset.splits]

    @property
    def lambdas(self) -> list[float]:
        """Of the proposals that are solved for: the recipe's, and that of the auxiliary network."""
        return list(dict.fromkeys([self.lam, *(request.auxiliary.lam for request in self.trainings)]))

    @property
    def reported(self) -> list[str]:
        """Every split that networks are evaluated on; where there is none, the one to validate on."""
        return list(self.evaluated) or self.trained_splits[-1:]

    @property
    def all_splits(self) -> list[str]:
        """Every split that the recipe works on."""
        bounded = [self.bounds.split] if self.bounds else []
        return list(dict.fromkeys([*self.trained_splits, *bounded, *self.evaluated]))


def load(path: Path, overrides: Overrides | None = None) -> Recipe:
    """Read a recipe and check all that can be checked before it is done.

    Raises
    ------
    AdaprepError
        It cannot be read or says something that cannot be; the message names the line and the key.
    """
    chosen = overrides or Overrides()
    top = read_yaml(path, GUIDE)
    said = top.mapping(("dataset",), PLACES + SAMPLING + STEPS)
    if chosen.device is None and "device" in said:
        chosen = replace(chosen, device=cast(Device, said["device"].choice(DEVICES)))
    precision = _precision(said.get("precision"))
    generate = _generate(said.get("generate"), said["dataset"])
    opened = _open(said, chosen.root, generate is not None)
    splits = _splits(said, opened.dataset)
    grid = _grid(said["grid"]) if "grid" in said else (8, 8)
    lam = said["lambda"].number(0, MAX_LAMBDA) if "lambda" in said else 1.0
    common = Request(
        (),
        Auxiliary(grid=grid, lam=lam),
        Base(grid=grid, lam=lam),
        tag=_tag(said.get("tag")),
        train_split=splits[0],
        val_split=splits[1],
        device=chosen.device or "auto",
        precision=precision,
    )
    trainings = read_trainings(said.get("auxiliary"), said.get("base"), common)
    crops = said["crops"].integer(1, MAX_CROPS) if "crops" in said else None
    if crops is not None and crops % 2 == 0 and trainings and _validates(opened.dataset, splits):
        said["crops"].fail(
            f"must be odd where networks are trained, found {crops}: they are measured on the central crop "
            f"of the images of {splits[1]}"
        )
    _check_runs(said, trainings)
    if chosen.precision is not None:
        trainings = tuple(replace(request, precision=chosen.precision) for request in trainings)
    return Recipe(
        path,
        opened.dataset,
        opened.name,
        opened.root,
        opened.targets,
        opened.settings,
        chosen.workspace or _workspace(said.get("workspace")),
        splits,
        grid,
        lam,
        crops,
        generate,
        _check(said.get("check")),
        _bounds(said.get("upper_bound"), opened.dataset, splits[1], grid, lam),
        trainings,
        _evaluated(said.get("evaluate"), opened.dataset, splits[1], "base" in said),
        said["report"].switch() if "report" in said else True,
        common.device,
    )


@dataclass(frozen=True)
class _Opened:
    """A data set, and what was said to open it."""

    dataset: Dataset
    name: str
    root: Path | None
    targets: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def _open(said: Mapping[str, YamlNode], root: Path | None, generated: bool) -> _Opened:
    node = said["dataset"]
    name = node.text()
    root_node = said.get("root")
    if root is None and root_node is not None:
        root = _path(root_node)
        if root is not None and not generated and not os.path.isdir(root):
            root_node.fail(f"no such folder: {root}. Mend it, or say where the data lie with --root FOLDER.")
    elif root is not None and not generated and not os.path.isdir(root):
        raise AdaprepError(f"--root {root}: no such folder. It must hold the data set {name}.")
    if root is None and generated:
        root = Path("data") / name
    values = {key: _word(value) for key, value in _entries(said.get("settings")).items()}
    if "targets" in values:
        said["settings"].fail("targets is no setting: it is a key of its own, beside dataset")
    targets = tuple(item.text() for item in filled(said["targets"])) if "targets" in said else ()
    try:
        dataset = registry.load(name, root, **values)
    except AdaprepError as error:
        node.fail(str(error))
    if targets:
        try:
            dataset.classes = dataset.classes.with_targets(targets)
        except AdaprepError as error:
            said["targets"].fail(str(error))
    if not dataset.classes.targets:
        node.fail(f"{dataset.name} has no target classes: name some, as targets: [CLASS, ...]")
    if not generated and not os.path.isdir(dataset.root):
        node.fail(f"the data set lies in {dataset.root}, which is no folder. Say where with --root FOLDER.")
    return _Opened(dataset, name, root, targets, values)


def _entries(node: YamlNode | None) -> dict[str, YamlNode]:
    return node.any_mapping() if node else {}


def _word(node: YamlNode) -> str:
    value = node.value() if node.is_scalar() else None
    if not isinstance(value, str | int | float):
        node.fail("must be a word or a number")
    if isinstance(value, str):
        return node.text()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _path(node: YamlNode | None) -> Path | None:
    return node.file_path() if node else None


def _workspace(node: YamlNode | None) -> Path:
    """A folder, or one that can be made."""
    if node is None:
        return DEFAULT_WORKSPACE
    path = node.file_path()
    there = next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())
    if not os.path.isdir(there):
        node.fail(f"must be a folder, and {there} is none")
    return path


def _validates(dataset: Dataset, splits: tuple[str, str]) -> bool:
    return splits[1] in dataset.splits and splits[1] != splits[0]


def _check_runs(said: Mapping[str, YamlNode], trainings: Sequence[Request]) -> None:
    """Refuse what no network can be made of, or no folder."""
    section = next((said[key] for key in ("base", "auxiliary") if key in said), said["dataset"])
    for request in trainings:
        size, side = request.auxiliary.resolution, max(request.auxiliary.grid)
        predicts = request.networks == ("auxiliary",) or request.base.kind.needs_network
        if predicts and side > size:
            said.get("grid", section).fail(
                f"an auxiliary network of resolution {size} cannot predict a grid of "
                f"{'x'.join(map(str, request.auxiliary.grid))}: give a smaller grid, or a resolution of at "
                f"least {side} in the section auxiliary (aux_resolution in base)"
            )
        name = request.run_name(request.networks[0])
        if len(name.encode()) > MAX_RUN_NAME:
            said.get("tag", section).fail(
                f"the run {short(name)} would have a name of more than {MAX_RUN_NAME} bytes: "
                f"give a shorter tag or factory"
            )


def _precision(node: YamlNode | None) -> Precision:
    """Of all networks; `auxiliary`, `base` and a resolution may say another."""
    return cast(Precision, node.choice(typing.get_args(Precision))) if node else "auto"


def _tag(node: YamlNode | None) -> str | None:
    if node is None:
        return None
    word = _word(node)
    try:
        return check_component("tag", word)
    except AdaprepError as error:
        node.fail(str(error))


def _splits(said: Mapping[str, YamlNode], dataset: Dataset) -> tuple[str, str]:
    """To train on and to validate on; the second need not be there where it is not said."""
    train, val = (said[key].text() if key in said else key[:-6] for key in ("train_split", "val_split"))
    _check_split(said.get("train_split", said["dataset"]), train, dataset)
    if "val_split" in said:
        _check_split(said["val_split"], val, dataset)
    return train, val


def _check_split(node: YamlNode, name: str, dataset: Dataset) -> None:
    try:
        dataset.check_split(name)
    except AdaprepError as error:
        node.fail(str(error))


def _generate(node: YamlNode | None, dataset: YamlNode) -> Generate | None:
    if node is None:
        return None
    if dataset.text() != "demo":
        node.fail("only the data set demo is generated")
    said = node.mapping((), ("train", "val"))
    return Generate(**{key: value.integer(1, MAX_SCENES) for key, value in said.items()})


def _check(node: YamlNode | None) -> int | None:
    return node.mapping(("limit",), ())["limit"].integer(1, MOST) if node else None


def _grid(node: YamlNode) -> tuple[int, int]:
    """8 or 8x8 or 6x10 (height x width), as on the command line."""
    value = node.value() if node.is_scalar() else "a list or keys"
    if isinstance(value, bool) or not (match := GRID.fullmatch(str(value).lower())):
        node.fail(f"must be a grid such as 8 or 8x8 (height x width), at least 2x2, found {short(value)}")
    height, width = int(match[1]), int(match[2] or match[1])
    if min(height, width) < 2:
        node.fail(f"must be a grid such as 8 or 8x8 (height x width), at least 2x2, found {short(value)}")
    if max(height, width) > MAX_GRID:
        node.fail(f"must be a grid of at most {MAX_GRID}x{MAX_GRID}, found {short(value)}")
    return height, width


def _bounds(
    node: YamlNode | None, dataset: Dataset, split: str, grid: tuple[int, int], lam: float
) -> Bounds | None:
    if node is None:
        return None
    said = node.mapping(("resolutions",), ("grids", "lambdas", "limit", "split"))
    split = said["split"].text() if "split" in said else split
    _check_split(said.get("split", node), split, dataset)
    return Bounds(
        split,
        tuple(item.integer(2, MAX_RESOLUTION) for item in filled(said["resolutions"])),
        tuple(_grid(item) for item in filled(said["grids"])) if "grids" in said else (grid,),
        tuple(item.number(0, MAX_LAMBDA) for item in filled(said["lambdas"]))
        if "lambdas" in said
        else (lam,),
        said["limit"].integer(1, MOST) if "limit" in said else None,
    )


def _evaluated(node: YamlNode | None, dataset: Dataset, split: str, trained: bool) -> tuple[str, ...]:
    if node is None:
        return (split,) if trained and split in dataset.splits else ()
    names = []
    for item in node.items():
        _check_split(item, item.text(), dataset)
        names.append(item.text())
    if names and not trained:
        node.fail("there is no base network to evaluate: add the section base")
    return tuple(dict.fromkeys(names))
