"""What the YAML file of a data set of the user's own may say (docs/your-own-data.md)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, ValidationInfo

from pipeline.datasets.base import UNKNOWN, VOID, ClassTable, LabelClass
from pipeline.datasets.custom import Folders, ListFile, name_of, palette
from pipeline.datasets.limits import listed, short
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
from pipeline.datasets.yaml_nodes import YamlNode, did_you_mean, read_yaml
from pipeline.errors import AdaprepError
from pipeline.names import check_component

HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
MOST_ID = 65535

TAKEN = ("runs", "report")
"""Folders beside those of the splits in a workspace; so is ``report-SPLIT``."""

DATASET_NAME = "name of a data set"


def _channels(node: YamlNode) -> Any:
    """Red, green and blue, as numbers or as nodes of such."""
    value = node.value()
    if isinstance(value, str) and (match := HEX.fullmatch(value)):
        return tuple(int(part, 16) for part in match.groups())
    if isinstance(value, list) and len(value) == 3:
        return node.items()
    node.fail(f'must be [red, green, blue] or "#rrggbb", found {short(value)}')


def _dataset_name(node: YamlNode) -> str:
    return _component(node, DATASET_NAME, node.text())


def _component(node: YamlNode, what: str, name: str) -> str:
    """A name that becomes a folder in workspaces: the value of a key, or the key itself."""
    try:
        return check_component(what, name)
    except AdaprepError as error:
        node.fail(str(error))


Channel = Annotated[int, whole(0, 255)]
Id = Annotated[int, whole(0, MOST_ID)]


class Row(YamlModel):
    """A class, or one of several ids of a class."""

    id: Id
    name: Text
    train_id: Annotated[int | None, whole(0, VOID)] = None
    color: Annotated[tuple[Channel, Channel, Channel] | None, read_with(_channels)] = None


class FoldersSplit(YamlModel):
    """A split whose frames are paired by name."""

    also_known = ("list",)

    images: Text
    labels: Text
    instances: Text | None = None
    image_suffix: Text = ""
    label_suffix: Text = ""
    instance_suffix: Text = ""

    def source(self) -> Folders:
        return Folders(**self.given())


class ListSplit(YamlModel):
    """A split whose frames stand in a list."""

    list: Text

    def source(self) -> ListFile:
        return ListFile(self.list)


Split = FoldersSplit | ListSplit


def _split(node: YamlNode, info: ValidationInfo) -> Split:
    return (ListSplit if node.has("list") else FoldersSplit).read(node, collected(info))


def _splits(node: YamlNode, info: ValidationInfo) -> dict[str, YamlNode]:
    return node.any_mapping(collected(info).note) or node.fail("must name at least one split")


class File(YamlModel):
    """The whole file."""

    classes: Annotated[list[Row], read_with(lambda node: node.filled("must name at least one class"))]
    splits: Annotated[dict[Any, Annotated[Split, PlainValidator(_split)]], BeforeValidator(_splits)]
    name: Annotated[str | None, read_with(_dataset_name)] = None
    title: Text | None = None
    root: FilePath = Path(".")
    void: Annotated[list[Id] | None, ITEMS] = None
    targets: Annotated[list[Text] | None, ITEMS] = None
    training_splits: Annotated[list[Text] | None, ITEMS] = None
    license: Text = ""


@dataclass(frozen=True)
class Description:
    """What a file says."""

    name: str
    title: str
    license: str
    root: Path
    sources: dict[str, Folders | ListFile]
    training_splits: tuple[str, ...]
    table: ClassTable


def read(path: Path, text: str | None = None) -> Description:
    """Read and check a file; `text` is what it held, where it has gone.

    Raises
    ------
    AdaprepError
        It cannot be read or says something that cannot be: every mistake, with its line and key.
    """
    mistakes = Mistakes()
    file = File.read(read_yaml(path, text=text), mistakes)
    _check_splits(file, mistakes)
    table = _class_table(file, mistakes)
    mistakes.refuse()
    assert table is not None
    name = file.name or name_of(path)
    every = tuple(file.splits)
    training = [split for split in every if split == "train"]
    return Description(
        name,
        file.title or name,
        file.license,
        file.root,
        {split: source.source() for split, source in file.splits.items()},
        tuple(training if file.training_splits is None else file.training_splits),
        table,
    )


def _check_splits(file: File, mistakes: Mistakes) -> None:
    """Their names, and that those to train on are among them."""
    if not file.usable("splits"):
        return
    for name, split in file.splits.items():
        with mistakes.at(split.node):
            if name in TAKEN or name.startswith("report-"):
                split.node.fail(
                    f"no split can be called {name}: workspaces have a folder of this name for something else"
                )
            _component(split.node, "name of a split", name)
    for item in _items(file, "training_splits", mistakes):
        with mistakes.at(item):
            if (name := item.text()) not in file.splits:
                item.fail(f"no split {short(name)}; the splits are: {listed(file.splits)}")


def _items(file: File, field: str, mistakes: Mistakes) -> list[YamlNode]:
    """The nodes of a list, whether all of them can be used or not."""
    if field in file.nodes:
        with mistakes.at(file.nodes[field]):
            return file.nodes[field].items()
    return []


def _class_table(file: File, mistakes: Mistakes) -> ClassTable | None:
    """The table; None where there are mistakes."""
    if not file.usable("classes"):
        return None
    rows = file.classes
    _check_ids(file, mistakes)
    train_ids = _train_ids(file, mistakes)
    learnt = _check_names(rows, train_ids, mistakes)
    targets = _targets(file, learnt, mistakes)
    if mistakes.noted or train_ids is None:
        return None
    shown = palette(len(set(train_ids) - {VOID}))
    classes = [
        LabelClass(
            row.id,
            row.name.strip(),
            train_id,
            train_id in targets,
            row.color or (shown[train_id] if train_id != VOID else (0, 0, 0)),
        )
        for row, train_id in zip(rows, train_ids, strict=True)
    ]
    try:
        return ClassTable((*classes, *(LabelClass(number, f"void {number}") for number in file.void or [])))
    except AdaprepError as error:
        mistakes.note(file.nodes["classes"].mistake(str(error)))
        return None


def _check_ids(file: File, mistakes: Mistakes) -> None:
    """No two ids are alike."""
    nodes = [row.nodes["id"] for row in file.classes if row.usable("id")]
    earlier: dict[int, int] = {}  # lines
    for node in nodes + _items(file, "void", mistakes):
        with mistakes.at(node):
            value = node.integer(0, MOST_ID)
            if value in earlier:
                node.fail(f"the id {value} was given before, in line {earlier[value]}")
            earlier[value] = node.line


def _train_ids(file: File, mistakes: Mistakes) -> list[int] | None:
    """As given, or counted in the order of the classes; None where they cannot be used."""
    rows, classes = file.classes, file.nodes["classes"]
    if not all(row.usable("train_id") for row in rows):
        return None
    given = [row.train_id for row in rows if row.train_id is not None]
    if given and len(given) < len(rows):
        problem = "train_id must be given to all classes or to none (then they are counted in order)"
        mistakes.note(classes.mistake(problem))
        return None
    ids = given or list(range(len(rows)))
    used = sorted(set(ids) - {VOID})
    if used != list(range(len(used))) or len(used) >= UNKNOWN:
        problem = f"train ids must be 0, 1, 2, ... without a gap ({VOID} is void), found {short(used)}"
        mistakes.note(classes.mistake(problem))
    return ids


def _check_names(rows: list[Row], train_ids: list[int] | None, mistakes: Mistakes) -> dict[str, int] | None:
    """Train ids by the names of the classes that are learnt; None where they are not known."""
    if train_ids is None:
        return None
    by_name: dict[str, int] = {}
    for row, train_id in zip(rows, train_ids, strict=True):
        if row.usable("name"):
            name = row.name.strip()
            if by_name.setdefault(name, train_id) != train_id:
                problem = f"two train ids, {by_name[name]} and {train_id}, for one name"
                mistakes.note(row.nodes["name"].mistake(problem))
    if not all(row.usable("name") for row in rows):
        return None
    return {name: train_id for name, train_id in by_name.items() if train_id != VOID}


def _targets(file: File, learnt: dict[str, int] | None, mistakes: Mistakes) -> set[int]:
    """Train ids of the classes named."""
    if learnt is None:
        return set()
    chosen = set()
    for item in _items(file, "targets", mistakes):
        with mistakes.at(item):
            if (name := item.text().strip()) not in learnt:
                hint = did_you_mean(name, tuple(learnt))
                item.fail(
                    f"no class {short(name)} to make a target of{hint} The classes are: {listed(learnt)}"
                )
            chosen.add(learnt[name])
    return chosen
