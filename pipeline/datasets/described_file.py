"""What a YAML file that describes a data set may say: its keys, and what each may hold."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from pipeline.datasets.class_rows import ClassRow, Void
from pipeline.datasets.formats import KNOWN
from pipeline.datasets.limits import short
from pipeline.datasets.split_sources import POOL, Folders, ListFile
from pipeline.datasets.splitting import FOLDER
from pipeline.datasets.yaml_models import (
    ITEMS,
    FilePath,
    Text,
    YamlModel,
    collected,
    read_with,
    whole,
)
from pipeline.datasets.yaml_nodes import YamlNode
from pipeline.errors import AdaprepError
from pipeline.names import check_component, safe_component

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
    return component(node, DATASET_NAME, node.text())


def component(node: YamlNode, what: str, name: str) -> str:
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


def name_of(path: Path) -> str:
    """A name that can name a folder, made of the file's."""
    name = re.sub(r"[^\w.-]+", "-", path.stem)
    try:
        return check_component(DATASET_NAME, name)
    except AdaprepError:
        return safe_component(path.stem)
