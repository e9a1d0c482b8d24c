"""What a recipe may say (workflows/README.md), read from YAML and checked before anything is done."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

from pipeline import doors
from pipeline.datasets.base import Dataset
from pipeline.datasets.limits import short
from pipeline.datasets.yaml_models import (
    FILLED,
    ITEMS,
    KEYS,
    FilePath,
    Mistakes,
    Switch,
    Text,
    YamlModel,
    collected,
    read_with,
    whole,
)
from pipeline.datasets.yaml_nodes import YamlNode, read_yaml
from pipeline.errors import AdaprepError
from pipeline.names import check_component
from pipeline.recipes.recipe import Bounds, Generate, Overrides, Recipe
from pipeline.recipes.trainings import MOST, AuxiliarySection, BaseSection, read_trainings, taken
from pipeline.settings import DEFAULT_WORKSPACE, Device, Precision
from pipeline.stages import chosen as named
from pipeline.storage import StoredPath, is_address, is_dir
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
    "whole_image",
    "tag",
)
SAMPLING = ("grid", "lambda", "crops")
STEPS = ("generate", "check", "upper_bound", "auxiliary", "base", "evaluate", "metrics", "report")
"""Keys of a recipe, beside `dataset`: the same for all steps; of the sampling tensors; of one step."""

MAX_CROPS = 999
MAX_GRID = 512
MAX_RUN_NAME = 200
"""Bytes of the name of a run's folder: file systems allow 255."""

MAX_SCENES = 1_000_000
"""Of the data set demo: scenes from this number on are for validation."""

GRID = re.compile(r"([0-9]{1,6})(?:x([0-9]{1,6}))?")
GUIDE = "workflows/README.md"


def load(path: Path, overrides: Overrides | None = None) -> Recipe:
    """Read a recipe and check all that can be checked before it is done.

    Raises
    ------
    AdaprepError
        It cannot be read or says something that cannot be; the message names the line and the key.
    """
    chosen = overrides or Overrides()
    mistakes = Mistakes()
    said = RecipeFile.read(read_yaml(path, GUIDE), mistakes)
    if chosen.device is None:
        chosen = replace(chosen, device=said.device)
    _check_generate(said, mistakes)
    opened = _open(said, chosen, mistakes)
    dataset = opened.dataset if opened else None
    splits = _splits(said, dataset, mistakes)
    grid, lam = said.grid or (8, 8), 1.0 if said.lam is None else said.lam
    common = Request(
        (),
        Auxiliary(grid=grid, lam=lam),
        Base(grid=grid, lam=lam),
        tag=said.tag,
        train_split=splits[0],
        val_split=splits[1],
        device=chosen.device or Device("auto"),
        precision=said.precision or "auto",
        whole_image=bool(said.whole_image),
    )
    trainings: tuple[Request, ...] = ()
    if said.usable("grid", "lam", "tag", "auxiliary", "base"):
        trainings = read_trainings(said.auxiliary, said.base, common, mistakes)
        _check_runs(said, trainings, mistakes)
    _check_crops(said, dataset, splits, mistakes)
    _check_patience(said, trainings, dataset, splits, mistakes)
    bounds = _bounds(said, dataset, splits[1], grid, lam, mistakes)
    evaluated = _evaluated(said, dataset, splits[1], mistakes)
    mistakes.refuse()
    assert opened is not None
    if chosen.precision is not None:
        trainings = tuple(replace(request, precision=chosen.precision) for request in trainings)
    return Recipe(
        path,
        opened.dataset,
        opened.name,
        opened.root,
        opened.targets,
        opened.settings,
        chosen.workspace or said.workspace or DEFAULT_WORKSPACE,
        splits,
        grid,
        lam,
        said.crops,
        Generate(**said.generate.given()) if said.generate else None,
        said.check.limit if said.check else None,
        bounds,
        trainings,
        evaluated,
        tuple(dict.fromkeys(said.metrics or ())),
        True if said.report is None else said.report,
        common.device,
        common.whole_image,
        tuple(mistakes.older.values()),
    )


@dataclass(frozen=True)
class _Opened:
    """A data set, and what was said to open it."""

    dataset: Dataset
    name: str
    root: Path | None
    targets: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


def _check_generate(said: RecipeFile, mistakes: Mistakes) -> None:
    if "generate" in said.nodes and said.usable("dataset") and said.dataset != "demo":
        mistakes.note(said.nodes["generate"].mistake("only the data set demo is generated"))


def _open(said: RecipeFile, chosen: Overrides, mistakes: Mistakes) -> _Opened | None:
    """The data set; None where what is said of it is wrong."""
    if not said.usable("dataset"):
        return None
    node, name, generated = said.nodes["dataset"], said.dataset, "generate" in said.nodes
    root, place = chosen.root, chosen.workspace or (said.workspace if said.usable("workspace") else None)
    if root is not None and not generated and not is_dir(root):
        raise AdaprepError(f"--root {root}: no such folder. It must hold the data set {name}.")
    if root is None and said.root is not None:
        root = said.root
        if not generated and not is_dir(root):
            problem = f"no such folder: {root}. Fix it, or give the folder of the data with --root FOLDER."
            mistakes.note(said.nodes["root"].mistake(problem))
    if root is None and generated:
        root = Path("data") / name
    if not said.usable("settings"):
        return None
    before = len(mistakes.noted)
    values = said.settings or {}
    if "targets" in values:
        problem = "targets is no setting: it is a key of its own, beside dataset"
        mistakes.note(said.nodes["settings"].mistake(problem))
        return None
    try:
        dataset = named.open_dataset(Workspace(place or DEFAULT_WORKSPACE), name, root, None, values)
    except AdaprepError as error:
        mistakes.note(node.mistake(str(error)))
        return None
    targets = tuple(said.targets or ())
    if targets:
        with mistakes.at(said.nodes["targets"]):
            dataset.classes = dataset.classes.with_targets(targets)
    elif not dataset.classes.targets and said.usable("targets"):
        problem = f"{dataset.name} has no target classes: name some, as targets: [CLASS, ...]"
        mistakes.note(node.mistake(problem))
    if len(mistakes.noted) == before and not generated and said.root is None and not is_dir(dataset.root):
        problem = (
            f"the data set is in {dataset.root}, which is no folder. Give its folder with --root FOLDER."
        )
        mistakes.note(node.mistake(problem))
    return _Opened(dataset, name, root, targets, values)


def _check_runs(said: RecipeFile, trainings: Sequence[Request], mistakes: Mistakes) -> None:
    """Note what no network can be made of, or no folder."""
    section = next((said.nodes[key] for key in ("base", "auxiliary") if key in said.nodes), said.node)
    for request in trainings:
        size, side = request.auxiliary.resolution, max(request.auxiliary.grid)
        predicts = request.networks == ("auxiliary",) or request.base.kind.needs_network
        if predicts and side > size:
            problem = (
                f"an auxiliary network of resolution {size} cannot predict a grid of "
                f"{'x'.join(map(str, request.auxiliary.grid))}: give a smaller grid, or a resolution of at "
                f"least {side} in the section auxiliary (aux_resolution in base)"
            )
            mistakes.note(said.nodes.get("grid", section).mistake(problem))
        name = request.run_name(request.networks[0])
        if len(name.encode()) > MAX_RUN_NAME:
            problem = (
                f"the run {short(name)} would have a name of more than {MAX_RUN_NAME} bytes: "
                f"give a shorter tag or factory"
            )
            mistakes.note(said.nodes.get("tag", section).mistake(problem))
            return


def _check_crops(
    said: RecipeFile, dataset: Dataset | None, splits: tuple[str, str], mistakes: Mistakes
) -> None:
    trained = "auxiliary" in said.nodes or "base" in said.nodes
    validated = dataset is not None and splits[1] in dataset.splits and splits[1] != splits[0]
    if said.crops is not None and said.crops % 2 == 0 and trained and validated:
        problem = (
            f"must be odd where networks are trained, found {said.crops}: they are measured on the central "
            f"crop of the images of {splits[1]}"
        )
        mistakes.note(said.nodes["crops"].mistake(problem))


def _check_patience(
    said: RecipeFile,
    trainings: Sequence[Request],
    dataset: Dataset | None,
    splits: tuple[str, str],
    mistakes: Mistakes,
) -> None:
    if any(request.patience for request in trainings) and dataset and splits[1] not in dataset.splits:
        section = said.nodes["base" if "base" in said.nodes else "auxiliary"]
        problem = f"patience counts validations, and {dataset.name} has no split {short(splits[1])}"
        mistakes.note(section.mistake(problem))


def _splits(said: RecipeFile, dataset: Dataset | None, mistakes: Mistakes) -> tuple[str, str]:
    """To train on and to validate on; the second need not be there where it is not said."""
    train, val = said.train_split or "train", said.val_split or "val"
    if dataset is not None:
        if said.usable("train_split"):
            with mistakes.at(said.nodes.get("train_split", said.nodes["dataset"])):
                dataset.check_split(train)
        if said.val_split is not None:
            with mistakes.at(said.nodes["val_split"]):
                dataset.check_split(val)
    return train, val


def _bounds(
    said: RecipeFile,
    dataset: Dataset | None,
    split: str,
    grid: tuple[int, int],
    lam: float,
    mistakes: Mistakes,
) -> Bounds | None:
    section = said.upper_bound
    if section is None:
        return None
    split = section.split or split
    if dataset is not None and section.usable("split"):
        with mistakes.at(section.nodes.get("split", section.node)):
            dataset.check_split(split)
    return Bounds(
        split,
        tuple(section.resolutions or ()),
        tuple(section.grids or (grid,)),
        tuple(section.lambdas or (lam,)),
        section.limit,
    )


def _evaluated(said: RecipeFile, dataset: Dataset | None, split: str, mistakes: Mistakes) -> tuple[str, ...]:
    trained = "base" in said.nodes
    if "evaluate" not in said.nodes:
        return (split,) if trained and dataset is not None and split in dataset.splits else ()
    node = said.nodes["evaluate"]
    if dataset is not None and said.evaluate:
        for item in node.items():
            with mistakes.at(item):
                dataset.check_split(item.text())
    if said.evaluate and not trained:
        mistakes.note(node.mistake("there is no base network to evaluate: add the section base"))
    return tuple(dict.fromkeys(said.evaluate or ()))


def _word(node: YamlNode) -> str:
    value = node.value() if node.is_scalar() else None
    if not isinstance(value, str | int | float):
        node.fail("must be a word or a number")
    if isinstance(value, str):
        return node.text()
    return str(value).lower() if isinstance(value, bool) else str(value)


def _workspace(node: YamlNode) -> Path:
    """A folder, or one that can be made; or an address in an object store, which is not asked here."""
    path = node.file_path()
    if is_address(path):
        return path
    if isinstance(path, StoredPath):
        node.fail(f"must be a folder, and archives are only read: {path}")
    there = next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())
    if not os.path.isdir(there):
        node.fail(f"must be a folder, and {there} is none")
    return path


def _tag(node: YamlNode) -> str:
    word = _word(node)
    try:
        return check_component("tag", word)
    except AdaprepError as error:
        node.fail(str(error))


def _metric(node: YamlNode) -> str:
    """The user's own, which is imported where it is measured, and not before."""
    name = node.text()
    if not doors.is_door(name):
        node.fail(f"must be {doors.DOOR}, found {short(name)}; adaprep's own metrics are always measured")
    return name


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


SideLength = Annotated[int, taken(Base, "resolution")]
GridSize = Annotated[tuple[int, int], read_with(_grid)]
Lambda = Annotated[float, taken(Base, "lam")]
Count = Annotated[int, whole(1, MOST)]
Scenes = Annotated[int | None, whole(1, MAX_SCENES)]
Words = Annotated[list[Text] | None, FILLED]


class GenerateSection(YamlModel):
    train: Scenes = None
    val: Scenes = None


class CheckSection(YamlModel):
    limit: Count


class BoundsSection(YamlModel):
    resolutions: Annotated[list[SideLength], FILLED]
    grids: Annotated[list[GridSize] | None, FILLED] = None
    lambdas: Annotated[list[Lambda] | None, FILLED] = None
    limit: Count | None = None
    split: Text | None = None


class RecipeFile(YamlModel):
    """The whole of a recipe."""

    dataset: Text
    root: FilePath | None = None
    workspace: Annotated[Path | None, read_with(_workspace)] = None
    device: Annotated[Device | None, taken(Request, "device")] = None
    precision: Annotated[Precision | None, taken(Request, "precision")] = None
    targets: Words = None
    settings: Annotated[dict[Any, Annotated[str, read_with(_word)]] | None, KEYS] = None
    train_split: Text | None = None
    val_split: Text | None = None
    whole_image: Switch | None = None
    tag: Annotated[str | None, read_with(_tag)] = None
    grid: GridSize | None = None
    lam: Lambda | None = Field(default=None, alias="lambda")
    crops: Annotated[int | None, whole(1, MAX_CROPS)] = None
    generate: GenerateSection | None = None
    check: CheckSection | None = None
    upper_bound: BoundsSection | None = None
    auxiliary: Annotated[
        Any, PlainValidator(lambda node, info: AuxiliarySection.read(node, collected(info)))
    ] = None
    base: Annotated[Any, PlainValidator(lambda node, info: BaseSection.read(node, collected(info)))] = None
    evaluate: Annotated[list[Text] | None, ITEMS] = None
    metrics: Annotated[list[Annotated[str, read_with(_metric)]] | None, FILLED] = None
    report: Switch | None = None
