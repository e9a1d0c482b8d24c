"""A data set of the user's own, described by a YAML file (docs/your-own-data.md)."""

from __future__ import annotations

import colorsys
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, VOID, ClassTable, Dataset, Frame, LabelClass
from pipeline.datasets.limits import listed, short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.datasets.pairs import IMAGES, LABELS, pair_folders, what_is_there
from pipeline.datasets.yaml_nodes import YamlNode, did_you_mean, read_yaml
from pipeline.errors import AdaprepError
from pipeline.names import check_component, printable, safe_component

HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
MOST_ID = 65535

TAKEN = ("runs", "report")
"""Folders beside those of the splits in a workspace; so is ``report-SPLIT``."""


@dataclass(frozen=True)
class Folders:
    """A split whose frames are paired by name."""

    images: str
    labels: str
    instances: str | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    instance_suffix: str = ""


@dataclass(frozen=True)
class ListFile:
    """A split whose frames stand in a list."""

    list: str


class Custom(Dataset):
    """What a YAML file says.

    Parameters
    ----------
    path
        The YAML file.
    root
        Stands for the file's own `root`.

    Raises
    ------
    AdaprepError
        The file cannot be read or says something that cannot be; the message names the line and the key.
    """

    archives = "The folders and lists of each split stand in the YAML file, relative to its root."

    def __init__(self, path: Path, root: Path | None = None) -> None:
        top = read_yaml(path)
        said = top.mapping(
            ("classes", "splits"), ("name", "title", "root", "void", "targets", "training_splits", "license")
        )
        self.source = str(path.absolute())  # what opens this data set again
        self.name = _component(said["name"], "name of a data set") if "name" in said else _name_of(path)
        self.title = said["title"].text() if "title" in said else self.name
        self.license = said["license"].text() if "license" in said else ""
        self.sources = {
            _split_name(name, split): _source(split) for name, split in said["splits"].any_mapping().items()
        }
        if not self.sources:
            said["splits"].fail("must name at least one split")
        self.splits = tuple(self.sources)
        self.training_splits = _training_splits(said.get("training_splits"), self.splits)
        self.table = _class_table(said)
        folder = said["root"].file_path() if "root" in said else Path(".")
        root = root or path.absolute().parent / folder
        super().__init__(Path(os.path.realpath(root)) if ".." in root.parts else root)

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        source = self.sources[split]
        if isinstance(source, ListFile):
            return read_list(self.root / source.list, self.root)
        images, labels = self.root / source.images, self.root / source.labels
        frames = pair_folders(
            images,
            labels,
            self.root / source.instances if source.instances else None,
            source.image_suffix,
            source.label_suffix,
            source.instance_suffix,
        )
        if not frames:
            raise self.nothing_found(
                [
                    f"{images}/**/*{source.image_suffix}.(jpg|png|...)",
                    f"{labels}/**/*{source.label_suffix}.png",
                    *what_is_there(images, IMAGES),
                    *what_is_there(labels, LABELS),
                ]
            )
        return frames

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) as stored, 0 = no object; None without instances. Raises FileError."""
        from pipeline.datasets import readers

        return None if frame.instance is None else readers.read_ids(frame.instance).astype(np.int32)


def read_list(path: Path, root: Path) -> list[Frame]:
    """Frames of a list: `image<TAB>label` or `image<TAB>label<TAB>instances` a line, relative to `root`.

    Where a line has no TAB, single blanks separate. Empty lines and lines that begin with # are skipped.

    Returns
    -------
    Sorted by name, which is the image's path without its extension.

    Raises
    ------
    AdaprepError
        The list cannot be read, is empty, or has a line with another number of fields, a field that names a
        folder, or the same name as an earlier one; the message names the line.
    """
    frames: dict[str, tuple[int, Frame]] = {}
    for number, line in read_lines(path):
        if line.lstrip(" \t").startswith("#"):
            continue
        fields = [field.strip(" \r") for field in line.split("\t" if "\t" in line else " ")]
        if len(fields) not in (2, 3) or not all(fields):
            raise line_error(
                path,
                number,
                f"must be image<TAB>label or image<TAB>label<TAB>instances, found {short(line)}",
            )
        if bad := next((field for field in fields if not names_file(field)), None):
            raise line_error(path, number, f"{short(bad)} is a folder, not a file")
        name = str(Path(fields[0]).with_suffix("")).lstrip("/")
        if name in frames:
            raise line_error(path, number, f"{short(name)} was listed before, in line {frames[name][0]}")
        image, label, *instance = (root / field for field in fields)
        frames[name] = (number, Frame(name, image, label, instance[0] if instance else None))
    if not frames:
        raise AdaprepError(printable(f"{path}: the list is empty"))
    return [frames[name][1] for name in sorted(frames)]


def _component(node: YamlNode, what: str, name: str | None = None) -> str:
    """A name that becomes a folder in workspaces: the value of a key, or the key itself."""
    name = node.text() if name is None else name
    try:
        return check_component(what, name)
    except AdaprepError as error:
        node.fail(str(error))


def _name_of(path: Path) -> str:
    """A name that can name a folder, made of the file's."""
    name = re.sub(r"[^\w.-]+", "-", path.stem)
    try:
        return check_component("name of a data set", name)
    except AdaprepError:
        return safe_component(path.stem)


def _split_name(name: str, split: YamlNode) -> str:
    if name in TAKEN or name.startswith("report-"):
        split.fail(f"no split can be called {name}: workspaces have a folder of this name for something else")
    return _component(split, "name of a split", name)


def _source(split: YamlNode) -> Folders | ListFile:
    if "list" in split.any_mapping():
        return ListFile(split.mapping(("list",), ())["list"].text())
    said = split.mapping(
        ("images", "labels"), ("instances", "image_suffix", "label_suffix", "instance_suffix", "list")
    )
    return Folders(**{key: node.text() for key, node in said.items()})


def _training_splits(node: YamlNode | None, splits: tuple[str, ...]) -> tuple[str, ...]:
    if node is None:
        return tuple(split for split in splits if split == "train")
    known, named = set(splits), []
    for item in node.items():
        named.append(item.text())
        if named[-1] not in known:
            item.fail(f"no split {short(named[-1])}; the splits are: {listed(splits)}")
    return tuple(named)


def _class_table(said: dict[str, YamlNode]) -> ClassTable:
    rows = said["classes"].items()
    if not rows:
        said["classes"].fail("must name at least one class")
    keys = [row.mapping(("id", "name"), ("train_id", "color")) for row in rows]
    names = [key["name"].text().strip() for key in keys]
    train_ids = _train_ids(said["classes"], keys, names)
    shown = palette(len(set(train_ids) - {VOID}))
    targets = _targets(said.get("targets"), names, train_ids)
    classes = []
    ids: dict[int, YamlNode] = {}
    for key, name, train_id in zip(keys, names, train_ids, strict=True):
        color = _color(key["color"]) if "color" in key else shown[train_id] if train_id != VOID else (0, 0, 0)
        classes.append(LabelClass(_id(key["id"], ids), name, train_id, train_id in targets, color))
    for node in said["void"].items() if "void" in said else []:
        number = _id(node, ids)
        classes.append(LabelClass(number, f"void {number}"))
    try:
        return ClassTable(tuple(classes))
    except AdaprepError as error:
        said["classes"].fail(str(error))


def _id(node: YamlNode, earlier: dict[int, YamlNode]) -> int:
    value = node.integer(0, MOST_ID)
    if value in earlier:
        node.fail(f"the id {value} was given before, in line {earlier[value].line}")
    earlier[value] = node
    return value


def _train_ids(classes: YamlNode, keys: list[dict[str, YamlNode]], names: list[str]) -> list[int]:
    """As given, or counted in the order of the classes."""
    given = [key["train_id"] for key in keys if "train_id" in key]
    if given and len(given) < len(keys):
        classes.fail("train_id must be given to all classes or to none (then they are counted in order)")
    ids = [node.integer(0, VOID) for node in given] or list(range(len(keys)))
    used = sorted(set(ids) - {VOID})
    if used != list(range(len(used))) or len(used) >= UNKNOWN:
        classes.fail(f"train ids must be 0, 1, 2, ... without a gap ({VOID} is void), found {short(used)}")
    by_name: dict[str, int] = {}
    for key, name, train_id in zip(keys, names, ids, strict=True):
        if by_name.setdefault(name, train_id) != train_id:
            key["name"].fail(f"two train ids, {by_name[name]} and {train_id}, for one name")
    return ids


def _targets(node: YamlNode | None, names: list[str], train_ids: list[int]) -> set[int]:
    """Train ids of the classes named."""
    learnt = {name: train_id for name, train_id in zip(names, train_ids, strict=True) if train_id != VOID}
    chosen = set()
    for item in node.items() if node else []:
        if (name := item.text().strip()) not in learnt:
            hint = did_you_mean(name, tuple(learnt))
            item.fail(f"no class {short(name)} to make a target of{hint} The classes are: {listed(learnt)}")
        chosen.add(learnt[name])
    return chosen


def _color(node: YamlNode) -> tuple[int, int, int]:
    value = node.value()
    if isinstance(value, str) and (match := HEX.fullmatch(value)):
        red, green, blue = (int(part, 16) for part in match.groups())
        return red, green, blue
    if isinstance(value, list) and len(value) == 3:
        red, green, blue = (item.integer(0, 255) for item in node.items())
        return red, green, blue
    node.fail(f'must be [red, green, blue] or "#rrggbb", found {short(value)}')


def palette(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: hues evenly around the circle, neighbours in different lightness."""
    colors = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb(i / max(count, 1), (0.45, 0.65, 0.3)[i % 3], 0.75)
        red, green, blue = (round(255 * channel) for channel in rgb)
        colors.append((red, green, blue))
    return colors
