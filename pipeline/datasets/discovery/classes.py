"""The class table of what was seen: ids, names, void, and a first choice of targets."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.datasets.base import UNKNOWN
from pipeline.datasets.discovery.content import Color, Seen
from pipeline.datasets.discovery.layout import FolderLayout, NamedClass
from pipeline.datasets.discovery.naming import is_void
from pipeline.errors import AdaprepError

SMALL = 0.05
"""Share of the pixels below which a class is small."""

SEVERAL = 0.05
"""Share of the files that a target must occur in, where there are many."""

MAX_TARGETS = 8
VOID_ID = 255
VOID_COLORS = ((224, 224, 192),)
"""The border of PASCAL VOC."""

BACKGROUND = "background"
BACKGROUNDS = re.compile(r"_?background_?|bg|hintergrund|other|others|rest|stuff|none", re.IGNORECASE)


@dataclass(frozen=True)
class FoundClass:
    """A class, or an id that counts for nothing."""

    id: int
    name: str
    color: Color | None = None
    void: bool = False
    named: bool = True  # by a file; else the name is ours
    share: float | None = None  # of the pixels that were seen; None where none was
    files: int = 0  # of the sample that it occurs in


def rows(layout: FolderLayout, seen: Seen | None) -> tuple[list[FoundClass], list[str]]:
    """The class table of a layout and what is to be said of it; `seen` where the labels are maps.

    Raises
    ------
    AdaprepError
        There are more classes than can be trained on, or none.
    """
    notes: list[str] = []
    if seen is None:
        found = _of_shapes(layout)
    elif seen.colors:
        found = _of_colors(seen, layout.names, notes)
    elif seen.is_soft:
        found = _of_mask(layout.names)
    else:
        found = _of_ids(seen, layout.names, notes)
    found = _with_distinct_names(found)
    counts = seen.counts if seen else Counter[Any]()
    if seen and not seen.is_soft:
        keys = {row.id: row.color if seen.colors else row.id for row in found}
        total = max(1, counts.total())
        found = [
            replace(row, share=counts[keys[row.id]] / total, files=seen.in_files[keys[row.id]])
            for row in found
        ]
    learnt = [row for row in found if not row.void]
    if len(learnt) >= UNKNOWN:
        what = "colours" if seen and seen.colors else "classes"
        raise AdaprepError(
            f"{len(learnt)} {what} were found, and at most {UNKNOWN - 1} can be trained on. Label maps that "
            f"number objects, or whose edges are smoothed, look like this: give those of classes."
        )
    if not learnt:
        raise AdaprepError(
            "not one class was found: the labels are empty, or hold what counts for nothing alone"
        )
    return found, notes


def _of_ids(seen: Seen, names: Sequence[NamedClass], notes: list[str]) -> list[FoundClass]:
    ids = sorted(seen.ids)
    known = _by_id(ids, names, seen.is_binary, notes)
    void = {number for number in ids if _is_void_id(number, ids, known)}
    every = sorted({*ids, *known}) if len(known) < UNKNOWN else ids
    made = []
    for number in every:
        named = known.get(number)
        if named is None and (seen.is_binary or ids == [0, 1]):
            name = BACKGROUND if number == 0 else "object"
        else:
            name = named.name if named else "void" if number in void else f"class {number}"
        color = named.color if named else None
        made.append(
            FoundClass(number, name, color, number in void or bool(named and named.void), named is not None)
        )
    return made


def _by_id(
    ids: list[int], names: Sequence[NamedClass], binary: bool, notes: list[str]
) -> dict[int, NamedClass]:
    """Names by id: as a file gives them, or counted from 0 or 1 as the ids are."""
    given = {named.id: named for named in names if named.id is not None}
    if given:
        return given
    if not names:
        return {}
    learnt = [number for number in ids if number != VOID_ID or binary]
    if binary and len(names) <= 2:
        return dict(zip((0, VOID_ID)[-len(names) :], names, strict=True))
    if not learnt or max(learnt) < len(names):
        return dict(enumerate(names))
    if max(learnt) == len(names):
        return dict(enumerate(names, 1))
    notes.append(f"{len(names)} names were found, but ids up to {max(learnt)}: the names are not used")
    return {}


def _is_void_id(number: int, ids: list[int], known: dict[int, NamedClass]) -> bool:
    if number in known:
        return known[number].void
    return number in (VOID_ID, 65535) and len(ids) > 1 and {0, number} != set(ids)


def _of_colors(seen: Seen, names: Sequence[NamedClass], notes: list[str]) -> list[FoundClass]:
    known: dict[Color, NamedClass] = {}
    for named in names:
        if named.color is None:
            continue
        if named.color in known:
            notes.append(
                f"{known[named.color].name} and {named.name} have one colour: the first name is used"
            )
        known.setdefault(named.color, named)
    unknown = [color for color in seen.counts if color not in known]
    if known and unknown:
        some = ", ".join("#" + hexadecimal(color) for color in unknown[:5])
        notes.append(
            f"{len(unknown)} colours are in no table of names ({some}{', ...' * (len(unknown) > 5)})"
        )
    every = [*known, *sorted(unknown)]
    return [
        FoundClass(
            number,
            known[color].name if color in known else f"color {hexadecimal(color)}",
            color,
            known[color].void if color in known else color in VOID_COLORS,
            color in known,
        )
        for number, color in enumerate(every)
    ]


def hexadecimal(color: Color) -> str:
    """A colour as rrggbb."""
    return "".join(f"{channel:02x}" for channel in color)


def _of_mask(names: Sequence[NamedClass]) -> list[FoundClass]:
    """Background and object of masks."""
    given = [named.name for named in names] if len(names) == 2 else [BACKGROUND, *(n.name for n in names[:1])]
    both = [*given, "object"][:2]
    return [FoundClass(number, name, named=bool(names)) for number, name in enumerate(both)]


def _of_shapes(layout: FolderLayout) -> list[FoundClass]:
    """Classes of outlines; the background is one more, first in the table and with an id of its own."""
    taken = {named.id for named in layout.names if named.id is not None}
    free = (number for number in range(0 if layout.background else 1, 65535) if number not in taken)
    found = (
        [FoundClass(next(free), BACKGROUND, named=False)]
        if layout.background and not _has_background(layout)
        else []
    )
    for named in layout.names:
        number = named.id if named.id is not None else next(free)
        found.append(FoundClass(number, named.name, named.color, named.void or is_void(named.name)))
    return found


def _has_background(layout: FolderLayout) -> bool:
    return any(named.name == BACKGROUND for named in layout.names)


def _with_distinct_names(found: Iterable[FoundClass]) -> list[FoundClass]:
    """The same; a name that comes again has its id behind it, since one name is one class."""
    used: set[str] = set()
    made = []
    for row in found:
        name = row.name.strip() or f"class {row.id}"
        if name in used:
            name = f"{name} {row.id}"
        used.add(name)
        made.append(replace(row, name=name))
    return made


def targets(found: Sequence[FoundClass], files: int) -> list[str]:
    """A first choice: small classes that occur in several images; or else the smallest.

    Parameters
    ----------
    files
        How many label maps were looked into.
    """
    learnt = [row for row in found if not row.void]
    plain = [row for row in learnt if not BACKGROUNDS.fullmatch(row.name)] or learnt
    occurring = [row for row in plain if row.files] or plain
    needed = min(files, max(2, SEVERAL * files))
    small = [row for row in occurring if (row.share or 0) < SMALL and row.files >= needed]
    small.sort(key=lambda row: (-row.files, row.share or 0))
    most = min(MAX_TARGETS, max(1, len(learnt) // 2))
    if small:
        chosen = small[:most]
    else:
        chosen = sorted(occurring, key=lambda row: row.share or 0)[: 1 if len(occurring) < 4 else most]
    names = {row.name for row in chosen}
    return [row.name for row in learnt if row.name in names]
