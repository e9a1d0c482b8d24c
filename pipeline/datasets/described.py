"""What the YAML file of a data set of the user's own may say (docs/your-own-data.md)."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from pipeline.datasets.base import ClassTable
from pipeline.datasets.class_rows import ClassRow, Void, class_table, items
from pipeline.datasets.custom import POOL, Folders, ListFile, PoolPart, Source, name_of
from pipeline.datasets.formats import KNOWN, Meaning
from pipeline.datasets.limits import listed, short
from pipeline.datasets.splitting import FOLDER, Division, folds
from pipeline.datasets.yaml_models import (
    ITEMS,
    FilePath,
    Mistakes,
    Text,
    YamlModel,
    collected,
    read_with,
    whole,
)
from pipeline.datasets.yaml_nodes import YamlNode, read_yaml
from pipeline.errors import AdaprepError
from pipeline.names import check_component

TAKEN = ("runs", "report")
"""Folders beside those of the splits in a workspace; so is ``report-SPLIT``."""

DATASET_NAME = "name of a data set"
MOST_SEED = 2**63 - 1
MOST_FOLDS = 1000

MASK = "{class}"
"""Stands for the name of a class in the paths of masks."""


def _choice(*words: str) -> BeforeValidator:
    return read_with(lambda node: node.choice(words))


def _dataset_name(node: YamlNode) -> str:
    return _component(node, DATASET_NAME, node.text())


def _component(node: YamlNode, what: str, name: str) -> str:
    """A name that becomes a folder in workspaces: the value of a key, or the key itself."""
    try:
        return check_component(what, name)
    except AdaprepError as error:
        node.fail(str(error))


def _together(node: YamlNode) -> str:
    text = node.text()
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as error:
        node.fail(f"must be {FOLDER!r} or a regular expression, found {short(text)} ({error})")
    return text


def _range(node: YamlNode) -> tuple[float, float]:
    """Two numbers, the first below the second."""
    numbers = [item.value() for item in node.items() if item.is_scalar()]
    if len(numbers) == len(node.items()) == 2 and all(type(n) in (int, float) for n in numbers):
        low, high = map(float, numbers)
        if -math.inf < low < high < math.inf:
            return low, high
    node.fail(f"must be two numbers [lowest, highest], such as [0, 4095], found {short(node.value())}")


def _shares(node: YamlNode, info: ValidationInfo) -> dict[str, YamlNode]:
    return node.any_mapping(collected(info).note) or node.fail("must name at least one split")


Unpaired = Annotated[Literal["refuse", "skip"] | None, _choice("refuse", "skip")]
Seed = Annotated[int, whole(0, MOST_SEED)]


class FoldersSplit(YamlModel):
    """A split whose frames are paired by name."""

    also_known = ("list",)

    images: Text
    labels: Text
    instances: Text | None = None
    image_suffix: Text = ""
    label_suffix: Text = ""
    instance_suffix: Text = ""
    stems: Text | None = None
    unpaired: Unpaired = None

    def source(self, skip: bool) -> Folders:
        given = self.given()
        unpaired = given.pop("unpaired", None)
        return Folders(**given, skip_unpaired=_skips(unpaired, skip))


class ListSplit(YamlModel):
    """A split whose frames stand in a list."""

    list: Text
    unpaired: Unpaired = None

    def source(self, skip: bool) -> ListFile:
        return ListFile(self.list, _skips(self.unpaired, skip))


Split = FoldersSplit | ListSplit


class DividedBy(YamlModel):
    """How the frames of the pool are divided into splits."""

    fractions: Annotated[
        dict[str, Annotated[float, read_with(lambda node: node.number(0.0, 1.0))]] | None,
        BeforeValidator(_shares),
    ] = None
    folds: Annotated[int | None, whole(2, MOST_FOLDS)] = None
    fold: Annotated[int, whole(0, MOST_FOLDS - 1)] = 0
    seed: Seed = 0
    together: Annotated[str, read_with(_together)] = ""


def _skips(unpaired: str | None, otherwise: bool) -> bool:
    return otherwise if unpaired is None else unpaired == "skip"


def _split(node: YamlNode, info: ValidationInfo) -> Split:
    return (ListSplit if node.has("list") else FoldersSplit).read(node, collected(info))


def _splits(node: YamlNode, info: ValidationInfo) -> dict[str, YamlNode]:
    return node.any_mapping(collected(info).note) or node.fail("must name at least one split")


def _divided_by(node: YamlNode, info: ValidationInfo) -> DividedBy:
    return DividedBy.read(node, collected(info))


AnySplit = Annotated[Split, PlainValidator(_split)]
Splits = Annotated[dict[Any, AnySplit], BeforeValidator(_splits)]


class File(YamlModel):
    """The whole file."""

    also_known: ClassVar[tuple[str, ...]] = (POOL, "split_by")

    classes: Annotated[list[ClassRow], read_with(lambda node: node.filled("must name at least one class"))]
    splits: Splits
    name: Annotated[str | None, read_with(_dataset_name)] = None
    title: Text | None = None
    root: FilePath = Path(".")
    labels_are: Annotated[str, _choice(*KNOWN)] = "ids"
    images_are: Annotated[str, _choice("auto", "shown", "stored")] = "auto"
    image_range: Annotated[tuple[float, float] | None, read_with(_range)] = None
    background: Text | None = None
    void: Void = None
    targets: Annotated[list[Text] | None, ITEMS] = None
    training_splits: Annotated[list[Text] | None, ITEMS] = None
    unpaired: Unpaired = None
    license: Text = ""


class PooledFile(File):
    """The whole file, where splits are made of a pool."""

    also_known = ()

    splits: Annotated[dict[Any, AnySplit] | None, BeforeValidator(_splits)] = None  # type: ignore[assignment]
    pool: AnySplit
    split_by: Annotated[DividedBy, PlainValidator(_divided_by)]


@dataclass(frozen=True)
class Description:
    """What a file says."""

    name: str
    title: str
    license: str
    root: Path
    sources: dict[str, Source]
    training_splits: tuple[str, ...]
    table: ClassTable
    labels_are: str
    meaning: Meaning
    images_are: str
    image_range: tuple[float, float] | None


def read(path: Path, text: str | None = None) -> Description:
    """Read and check a file; `text` is what it held, where it has gone.

    Raises
    ------
    AdaprepError
        It cannot be read or says something that cannot be: every mistake, with its line and key.
    """
    mistakes = Mistakes()
    node = read_yaml(path, text=text)
    pooled = node.has(POOL) or node.has("split_by")
    file = (PooledFile if pooled else File).read(node, mistakes)
    made = _parts(file, mistakes) if isinstance(file, PooledFile) else {}
    _check_splits(file, made, mistakes)
    _check_sources(file, mistakes)
    found = class_table(file, mistakes)
    mistakes.refuse()
    assert found is not None
    skip = file.unpaired == "skip"
    sources: dict[str, Source] = {split: source.source(skip) for split, source in (file.splits or {}).items()}
    if isinstance(file, PooledFile):
        pool = file.pool.source(skip)
        sources = {**{split: replace(part, pool=pool) for split, part in made.items()}, **sources}
    name = file.name or name_of(path)
    training = [split for split in sources if split == "train"]
    return Description(
        name,
        file.title or name,
        file.license,
        file.root,
        sources,
        tuple(training if file.training_splits is None else file.training_splits),
        found[0],
        file.labels_are,
        found[1],
        file.images_are,
        file.image_range,
    )


def _parts(file: PooledFile, mistakes: Mistakes) -> dict[str, PoolPart]:
    """The splits that the pool is divided into; their pool is filled in later."""
    if not file.usable("split_by"):
        return {}
    by, node = file.split_by, file.nodes["split_by"]
    if not by.usable("fractions", "folds", "fold"):
        return {}
    problem = "must have either 'fractions' (such as {train: 0.8, val: 0.2}) or 'folds' (such as 5)"
    made: dict[str, PoolPart] = {}
    with mistakes.at(node):
        if by.fractions is not None and by.folds is None:
            made = _by_fractions(by.fractions, by)
        elif by.fractions is None and by.folds is not None:
            made = _by_folds(by.folds, by)
        else:
            node.fail(problem)
    return made


_NO_POOL = ListFile("")


def _by_folds(count: int, by: DividedBy) -> dict[str, PoolPart]:
    if by.fold >= count:
        by.nodes["fold"].fail(f"must be a whole number in 0..{count - 1}, found {by.fold}")
    division, val = folds(count, by.fold, by.seed, by.together)
    rest = frozenset(split for split, _ in division.shares) - val
    return {"train": PoolPart(_NO_POOL, division, rest), "val": PoolPart(_NO_POOL, division, val)}


def _by_fractions(fractions: dict[str, float], by: DividedBy) -> dict[str, PoolPart]:
    node = by.nodes["fractions"]
    if (whole_sum := sum(fractions.values())) > 1 + 1e-9:
        node.fail(f"must not be more than 1 in all, found {whole_sum:g}")
    if zero := next((name for name, share in fractions.items() if share == 0), None):
        node.fail(f"{zero} must be more than 0")
    for name in fractions:
        _check_name(node, name)
    division = Division(tuple(fractions.items()), by.seed, by.together)
    return {name: PoolPart(_NO_POOL, division, frozenset({name})) for name in fractions}


def _check_name(node: YamlNode, name: str) -> None:
    if name in TAKEN or name.startswith("report-"):
        node.fail(f"no split can be called {name}: workspaces have a folder of this name for something else")
    _component(node, "name of a split", name)


def _check_splits(file: File, made: dict[str, PoolPart], mistakes: Mistakes) -> None:
    """Their names, and that those to train on are among them."""
    if not file.usable("splits") or (isinstance(file, PooledFile) and not file.usable("split_by")):
        return
    splits = file.splits or {}
    for name, split in splits.items():
        with mistakes.at(split.node):
            _check_name(split.node, name)
            if name in made:
                split.node.fail("a split of this name is made of the pool")
    every = {**made, **splits}
    for item in items(file, "training_splits", mistakes):
        with mistakes.at(item):
            if (name := item.text()) not in every:
                item.fail(f"no split {short(name)}; the splits are: {listed(every)}")


def _check_sources(file: File, mistakes: Mistakes) -> None:
    """That every split can be read in the format of the labels."""
    if not file.usable("labels_are", "splits", "classes"):
        return
    every = list((file.splits or {}).values())
    if isinstance(file, PooledFile) and file.usable(POOL):
        every.append(file.pool)
    count = len(file.classes)
    for split in every:
        with mistakes.at(split.node):
            if isinstance(split, ListSplit):
                if file.labels_are in ("coco", "masks"):
                    split.node.fail(f"labels_are: {file.labels_are} has no lists of label files")
            elif split.usable("labels", "label_suffix"):
                named = MASK in split.labels + split.label_suffix
                if named and file.labels_are != "masks":
                    split.node.fail(f"{MASK} stands for the class of a mask: add labels_are: masks")
                if file.labels_are == "masks" and not named and count != 2:
                    split.node.fail(
                        f"masks of {count} classes need {MASK} in 'labels' or 'label_suffix'; without it "
                        f"the first of two classes is 0, the second all else"
                    )
