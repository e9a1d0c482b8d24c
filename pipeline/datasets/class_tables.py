"""The class table of a YAML file, checked as a whole: ids, names and colours that are each given once."""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.datasets.base import UNKNOWN, VOID, ClassTable, LabelClass
from pipeline.datasets.class_rows import (
    COUNTED,
    COVERING,
    MOST_ID,
    NAMED,
    NEUTRAL,
    ClassRow,
    Color,
    void_item,
)
from pipeline.datasets.described_file import File
from pipeline.datasets.formats import Meaning
from pipeline.datasets.limits import listed, short
from pipeline.datasets.yaml_models import Mistakes
from pipeline.datasets.yaml_nodes import YamlNode, did_you_mean
from pipeline.errors import AdaprepError


def class_table(file: File, mistakes: Mistakes) -> tuple[ClassTable, Meaning] | None:
    """The table, and what labels stand for by it; None where there are mistakes."""
    if not file.usable("classes", "labels_are", "void"):
        return None
    rows, voids = file.classes, items(file, "void", mistakes)
    ids = _ids(file, voids, mistakes)
    train_ids = _train_ids(file, mistakes)
    learnt = _check_names(rows, train_ids, mistakes)
    targets = _targets(file, learnt, mistakes)
    colors = _colors(file, voids, mistakes)
    names = _labels(file, voids, mistakes)
    background = _background(file, mistakes)
    if mistakes.noted or train_ids is None or ids is None:
        return None
    shown = palette(len(set(train_ids) - {VOID}))
    classes = [
        _colored(LabelClass(number, row.name.strip(), train_id, train_id in targets), row.color, shown)
        for row, number, train_id in zip(rows, ids, train_ids, strict=True)
    ]
    classes += [LabelClass(number, _void_name(item, number)) for item, number in _void_ids(file.void, ids)]
    try:
        table = ClassTable(tuple(classes))
    except AdaprepError as error:
        mistakes.note(file.nodes["classes"].mistake(str(error)))
        return None
    every = [*ids, *(number for _, number in _void_ids(file.void, ids))]
    meaning = Meaning(
        dict(zip(names, every, strict=True)) if names else {},
        dict(zip(colors, every, strict=True)) if colors else {},
        frozenset(every),
        background=None if background is None else ids[background],
    )
    return _with_void(table, meaning) if file.labels_are in COVERING else (table, meaning)


def _colored(named: LabelClass, given: Color | None, shown: list[Color]) -> LabelClass:
    """A class with its colour; where the file gives none, neutral for background and black for void."""
    usual = (0, 0, 0) if named.train_id == VOID else shown[named.train_id]
    return replace(named, color=given or (NEUTRAL if named.is_background else usual))


def _with_void(table: ClassTable, meaning: Meaning) -> tuple[ClassTable, Meaning]:
    """With an id for what counts for nothing: 255 where no class has it."""
    taken = {row.id: row.train_id for row in table.classes}
    number = 255
    if taken.get(number, VOID) != VOID:
        number = next(i for i in range(MOST_ID, -1, -1) if i not in taken)
    if number not in taken:
        table = ClassTable((*table.classes, LabelClass(number, f"void {number}")))
    return table, replace(meaning, void=number)


def _void_ids(items: list[Any] | None, ids: list[int]) -> list[tuple[Any, int]]:
    """The ids of what is void: as given, and the next free ones for colours and names."""
    taken = {*ids, *(item for item in items or [] if isinstance(item, int))}
    found = []
    for item in items or []:
        number = item if isinstance(item, int) else next(i for i in range(MOST_ID + 1) if i not in taken)
        taken.add(number)
        found.append((item, number))
    return found


def _void_name(item: Any, number: int) -> str:
    return item.strip() if isinstance(item, str) else f"void {number}"


def items(file: File, field: str, mistakes: Mistakes) -> list[YamlNode]:
    """The nodes of a list, whether all of them can be used or not."""
    if field in file.nodes:
        with mistakes.at(file.nodes[field]):
            return file.nodes[field].items()
    return []


def _ids(file: File, voids: list[YamlNode], mistakes: Mistakes) -> list[int] | None:
    """As given, no two alike, or counted in the order of the classes where the format holds no ids."""
    rows = file.classes
    counted = file.labels_are in COUNTED
    nodes = [row.nodes["id"] for row in rows if "id" in row.nodes and row.usable("id")]
    if counted and 0 < len(nodes) < len(rows):
        problem = "id must be given to all classes or to none (then they are counted in order)"
        mistakes.note(file.nodes["classes"].mistake(problem))
    for row in rows:
        if "id" not in row.nodes and not counted:
            mistakes.note(row.node.mistake("missing key 'id'"))
    numbered = [node for node in voids if not counted or isinstance(node.value(), int)]
    _check_given_once(nodes + numbered, "id", lambda node: node.integer(0, MOST_ID), mistakes)
    if not all(row.usable("id") for row in rows):
        return None
    given = [row.id for row in rows if row.id is not None]
    if given:
        return given if len(given) == len(rows) else None
    taken = {item for item in file.void or [] if isinstance(item, int)}
    free = (i for i in range(MOST_ID + 1) if i not in taken)
    return [next(free) for _ in rows]


def _check_given_once(
    nodes: list[YamlNode], what: str, read: Callable[[YamlNode], Any], mistakes: Mistakes
) -> None:
    """Note every value that was given before, with the line."""
    earlier: dict[Any, int] = {}
    for node in nodes:
        with mistakes.at(node):
            value = read(node)
            if value in earlier:
                said = f"#{_hex(value)}" if isinstance(value, tuple) else value
                node.fail(f"the {what} {said} was given before, in line {earlier[value]}")
            earlier[value] = node.line


def _hex(color: Color) -> str:
    return "".join(f"{channel:02x}" for channel in color)


def _colors(file: File, voids: list[YamlNode], mistakes: Mistakes) -> list[Color]:
    """Of the classes and of what is void, where classes are found by their colours."""
    rows = file.classes
    if file.labels_are != "colors":
        return []
    for row in rows:
        if "color" not in row.nodes:
            mistakes.note(row.node.mistake("missing key 'color': labels_are: colors tells classes by it"))
    nodes = [row.nodes["color"] for row in rows if "color" in row.nodes and row.usable("color")]
    _check_given_once(nodes + voids, "color", _color, mistakes)
    if mistakes.noted:
        return []
    return [row.color for row in rows if row.color] + [
        item for item in file.void or [] if isinstance(item, tuple)
    ]


def _color(node: YamlNode) -> Color:
    value = void_item(node)
    if not isinstance(value, tuple):
        node.fail(f'must be [red, green, blue] or "#rrggbb", found {short(node.value())}')
    return value


def _labels(file: File, voids: list[YamlNode], mistakes: Mistakes) -> list[str]:
    """What labels are called, of the classes and of what is void, where they are told by their names."""
    if file.labels_are not in NAMED:
        return []
    nodes = [row.nodes["name"] for row in file.classes if row.usable("name")]
    _check_given_once(nodes + voids, "label", lambda node: _label(file, node), mistakes)
    return [row.name.strip() for row in file.classes if row.usable("name")] + [
        str(item).strip() for item in file.void or []
    ]


def _label(file: File, node: YamlNode) -> str:
    name = node.text().strip()
    if file.labels_are == "masks" and ("/" in name or name in (".", "..")):
        node.fail(f"{short(name)} cannot be part of the path of a mask")
    return name


def _background(file: File, mistakes: Mistakes) -> int | None:
    """The row of the class that pixels become which nothing covers."""
    if "background" not in file.nodes or not file.usable("background"):
        return None
    node = file.nodes["background"]
    names = tuple(row.name.strip() for row in file.classes if row.usable("name"))
    name = str(file.background).strip()
    if file.labels_are not in COVERING:
        mistakes.note(node.mistake(f"labels_are: {file.labels_are} leaves no pixel without a class"))
    elif name not in names:
        hint = did_you_mean(name, names)
        mistakes.note(node.mistake(f"no class {short(name)}{hint} The classes are: {listed(names)}"))
    else:
        return names.index(name)
    return None


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


def _check_names(
    rows: list[ClassRow], train_ids: list[int] | None, mistakes: Mistakes
) -> dict[str, int] | None:
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
    for item in items(file, "targets", mistakes):
        with mistakes.at(item):
            if (name := item.text().strip()) not in learnt:
                hint = did_you_mean(name, tuple(learnt))
                item.fail(
                    f"no class {short(name)} to make a target of{hint} The classes are: {listed(learnt)}"
                )
            chosen.add(learnt[name])
    return chosen


def palette(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: hues evenly around the circle, neighbours in different lightness."""
    colors = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb(i / max(count, 1), (0.45, 0.65, 0.3)[i % 3], 0.75)
        red, green, blue = (round(255 * channel) for channel in rgb)
        colors.append((red, green, blue))
    return colors
