"""A data set of the user's own, described by a YAML file (docs/your-own-data.md)."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import UNKNOWN, VOID, ClassTable, Dataset, Frame, LabelClass
from pipeline.datasets.files import file_error
from pipeline.datasets.pairs import IMAGES, LABELS, pair_folders, what_is_there
from pipeline.datasets.yaml_nodes import YamlNode, did_you_mean, read_yaml
from pipeline.errors import AdaprepError

NAME = re.compile(r"\w[\w.-]*")
HEX = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
MOST_ID = 65535


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
        self.name = _name(said["name"]) if "name" in said else re.sub(r"[^\w.-]+", "-", path.stem)
        self.title = said["title"].text() if "title" in said else self.name
        self.license = said["license"].text() if "license" in said else ""
        self.sources = {name: _source(split) for name, split in said["splits"].any_mapping().items()}
        if not self.sources:
            said["splits"].fail("must name at least one split")
        self.splits = tuple(self.sources)
        self.training_splits = _training_splits(said.get("training_splits"), self.splits)
        self.table = _class_table(said)
        folder = Path(said["root"].text() if "root" in said else ".").expanduser()
        root = root or path.absolute().parent / folder
        super().__init__(root.resolve() if ".." in root.parts else root.absolute())

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
        The list cannot be read, is empty, or has a line with another number of fields or the same name as an
        earlier one; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise file_error(path, error) from error
    except UnicodeDecodeError as error:
        raise AdaprepError(f"{path}: not a text in UTF-8 ({error.reason} at byte {error.start})") from error
    frames: dict[str, tuple[int, Frame]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = [field.strip() for field in line.split("\t" if "\t" in line else " ")]
        if len(fields) not in (2, 3) or not all(fields):
            raise AdaprepError(
                f"{path}, line {number}: must be image<TAB>label or image<TAB>label<TAB>instances, "
                f"found {line!r}"
            )
        name = str(Path(fields[0]).with_suffix("")).lstrip("/")
        if name in frames:
            raise AdaprepError(
                f"{path}, line {number}: {name!r} was listed before, in line {frames[name][0]}"
            )
        image, label, *instance = (root / field for field in fields)
        frames[name] = (number, Frame(name, image, label, instance[0] if instance else None))
    if not frames:
        raise AdaprepError(f"{path}: the list is empty")
    return [frames[name][1] for name in sorted(frames)]


def _name(node: YamlNode) -> str:
    name = node.text()
    if not NAME.fullmatch(name):
        node.fail(f"may hold letters, digits, '.', '_' and '-', for it names a folder; found {name!r}")
    return name


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
    for item in node.items():
        if item.text() not in splits:
            item.fail(f"no split {item.text()!r}; the splits are: {', '.join(splits)}")
    return tuple(item.text() for item in node.items())


def _class_table(said: dict[str, YamlNode]) -> ClassTable:
    rows = said["classes"].items()
    if not rows:
        said["classes"].fail("must name at least one class")
    keys = [row.mapping(("id", "name"), ("train_id", "color")) for row in rows]
    train_ids = _train_ids(said["classes"], keys)
    shown = palette(len(set(train_ids) - {VOID}))
    targets = _targets(said.get("targets"), [k["name"].text() for k in keys], train_ids)
    classes = []
    ids: dict[int, YamlNode] = {}
    for key, train_id in zip(keys, train_ids, strict=True):
        color = _color(key["color"]) if "color" in key else shown[train_id] if train_id != VOID else (0, 0, 0)
        classes.append(
            LabelClass(_id(key["id"], ids), key["name"].text(), train_id, train_id in targets, color)
        )
    void = said["void"].items() if "void" in said else []
    classes += [LabelClass(_id(node, ids), f"void {node.value()}") for node in void]
    return ClassTable(tuple(classes))


def _id(node: YamlNode, earlier: dict[int, YamlNode]) -> int:
    value = node.integer(0, MOST_ID)
    if value in earlier:
        node.fail(f"the id {value} was given before, in line {earlier[value].line}")
    earlier[value] = node
    return value


def _train_ids(classes: YamlNode, keys: list[dict[str, YamlNode]]) -> list[int]:
    """As given, or counted in the order of the classes."""
    given = [key["train_id"] for key in keys if "train_id" in key]
    if given and len(given) < len(keys):
        classes.fail("train_id must be given to all classes or to none (then they are counted in order)")
    ids = [node.integer(0, VOID) for node in given] or list(range(len(keys)))
    used = sorted(set(ids) - {VOID})
    if used != list(range(len(used))) or len(used) >= UNKNOWN:
        classes.fail(f"train ids must be 0, 1, 2, ... without a gap ({VOID} is void), found {used}")
    by_name: dict[str, int] = {}
    for key, train_id in zip(keys, ids, strict=True):
        if by_name.setdefault(key["name"].text(), train_id) != train_id:
            key["name"].fail(f"two train ids, {by_name[key['name'].text()]} and {train_id}, for one name")
    return ids


def _targets(node: YamlNode | None, names: list[str], train_ids: list[int]) -> set[int]:
    """Train ids of the classes named."""
    learnt = {name: train_id for name, train_id in zip(names, train_ids, strict=True) if train_id != VOID}
    for item in node.items() if node else []:
        if (name := item.text()) not in learnt:
            hint = did_you_mean(name, tuple(learnt))
            item.fail(f"no class {name!r} to make a target of{hint} The classes are: {', '.join(learnt)}")
    return {learnt[item.text()] for item in node.items()} if node else set()


def _color(node: YamlNode) -> tuple[int, int, int]:
    value = node.value()
    if isinstance(value, str) and (match := HEX.fullmatch(value)):
        red, green, blue = (int(part, 16) for part in match.groups())
        return red, green, blue
    if isinstance(value, list) and len(value) == 3:
        red, green, blue = (item.integer(0, 255) for item in node.items())
        return red, green, blue
    node.fail(f'must be [red, green, blue] or "#rrggbb", found {value!r}')


def palette(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: hues evenly around the circle, neighbours in different lightness."""
    colors = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb(i / max(count, 1), (0.45, 0.65, 0.3)[i % 3], 0.75)
        red, green, blue = (round(255 * channel) for channel in rgb)
        colors.append((red, green, blue))
    return colors
