"""The YAML file of what was found, with comments that say what to edit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import advice
from pipeline.datasets.discovery.classes import BACKGROUND, FoundClass, hexadecimal
from pipeline.datasets.discovery.layout import ONLY, FolderLayout, SplitPlace
from pipeline.datasets.yaml_text import flow, pair, relative
from pipeline.names import one_line
from pipeline.units import several

FRACTIONS = {"train": 0.8, "val": 0.2}
SEED = 0
MARK = "# Written by `adaprep init`"
GUIDE = "docs/your-own-data.md"


@dataclass(frozen=True)
class Discovery:
    """All that is known of a folder."""

    name: str
    root: Path
    layout: FolderLayout
    labels_are: str
    rows: tuple[FoundClass, ...]
    targets: tuple[str, ...]
    sample: str  # how many labels were looked into of how many
    files: int  # how many these were
    image_range: tuple[int, int] | None = None  # of images that use fewer bits than they have
    notes: tuple[str, ...] = ()

    @property
    def divided(self) -> bool:
        """Whether the splits are made of one pool."""
        return set(self.layout.places) == {ONLY} and self.layout.count > 1

    @property
    def learnt(self) -> list[FoundClass]:
        return [row for row in self.rows if not row.void]

    @property
    def void(self) -> list[FoundClass]:
        return [row for row in self.rows if row.void]

    @property
    def by_name(self) -> bool:
        """Whether labels name their classes, so that ids are ours and void is a row of the table."""
        return self.labels_are in ("colors", "labelme", "supervisely", "coco", "yolo")


def lists(found: Discovery, path: Path) -> dict[Path, str]:
    """The lists that the YAML file at `path` needs, by where they belong."""
    return {
        _list_path(path, split): "\n".join([MARK, *("\t".join(pair) for pair in sorted(place.pairs)), ""])
        for split, place in found.layout.places.items()
        if place.keys is None
    }


def is_ours(path: Path) -> bool:
    """Whether `init` wrote a file, as its first line says."""
    try:
        with path.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def _list_path(path: Path, split: str) -> Path:
    return path.with_name(f"{path.stem}-{split}.txt")


def text(found: Discovery, path: Path) -> str:
    """The YAML file that is to lie at `path`."""
    return "\n".join(_lines(found, path)) + "\n"


def _lines(found: Discovery, path: Path) -> Iterator[str]:
    yield f"{MARK} of {one_line(found.root.name)}: {one_line(found.layout.what)}."
    check = advice.command("check", dataset=path.name, workspace=None)
    yield f"# Edit what is wrong, then run: {one_line(check)}"
    yield f"# All that can stand here: {GUIDE}"
    for note in found.notes:
        yield f"# Note: {one_line(note)}"
    yield ""
    yield pair("name", found.name)
    yield (
        pair("root", root_from(found.root, path))
        + "  # all paths below are relative to it; --root replaces it"
    )
    if found.labels_are != "ids":
        yield pair("labels_are", found.labels_are)
    if found.image_range:
        yield (
            pair("image_range", list(found.image_range)) + "  # of the images' values: what becomes 0 and 255"
        )
    yield ""
    yield from _classes(found)
    yield ""
    yield from _targets(found)
    yield ""
    yield from _splits(found, path)


def _classes(found: Discovery) -> Iterator[str]:
    source = found.layout.names_from
    names = f"names from {one_line(source)}" if source else "rename them: no file named them"
    yield f"# Looked into {found.sample}; {names}."
    yield "classes:  # train ids are counted in this order"
    shown = found.rows if found.by_name else found.learnt
    for row in shown:
        keys: dict[str, Any] = {"id": row.id, "name": row.name}
        if row.void and found.by_name:
            keys["train_id"] = 255
        elif found.by_name and found.void:
            keys["train_id"] = found.learnt.index(row)
        if row.color:
            keys["color"] = "#" + hexadecimal(row.color)
        yield f"  - {flow(keys)}{_remark(row, found.files)}"
    if found.void and not found.by_name:
        remarks = ", ".join(f"{row.id} {row.name}" for row in found.void if row.named)
        yield pair("void", [row.id for row in found.void]) + (
            f"  # count for nothing: {one_line(remarks)}" if remarks else "  # count for nothing"
        )
    if found.layout.background:
        yield (
            pair("background", BACKGROUND)
            + "  # pixels that nothing covers; without this line they count for nothing"
        )


def _remark(row: FoundClass, files: int) -> str:
    """How much of a class was seen."""
    if row.share is None:
        return ""
    if not row.files:
        return "  # not seen"
    return f"  # {100 * row.share:.3g} % of the pixels, in {row.files} of {several(files, 'file')}"


def _targets(found: Discovery) -> Iterator[str]:
    yield "# Their boundaries attract sample points. A guess: small classes that occur in several images."
    yield pair("targets", list(found.targets))


def _splits(found: Discovery, path: Path) -> Iterator[str]:
    places = found.layout.places
    if unpaired := [image for place in places.values() for image in place.unpaired]:
        yield (
            f"unpaired: skip  # frames that lack labels or image are left out: {len(unpaired)}, "
            f"such as {one_line(unpaired[0])}"
        )
    if found.divided:
        yield "# No splits were found: these are drawn by the names of the files and the seed."
        if len({os.path.dirname(image) for image, _ in places[ONLY].pairs}) > 1:
            yield "# Frames of one folder may look alike: with `together: folder` they stay in one split."
        yield pair("split_by", {"fractions": FRACTIONS, "seed": SEED})
        yield pair("pool", _source(found, path, ONLY, places[ONLY]))
        return
    if set(places) == {ONLY}:
        yield "# One image alone: there is none to validate on."
    elif "val" not in places:
        yield f"# No split is called val: validate networks with --val-split {next(reversed(places))}."
    yield "splits:"
    for split, place in places.items():
        name = "train" if split == ONLY else split
        count = several(len(place.pairs), "image")
        yield "  " + pair(name, _source(found, path, split, place)) + f"  # {count}"


def _source(found: Discovery, path: Path, split: str, place: SplitPlace) -> dict[str, Any]:
    if place.keys is not None:
        return place.keys
    return {"list": relative(_list_path(path, split), found.root)}


def root_from(root: Path, path: Path) -> str:
    """The root as the YAML file at `path` gives it: relative where it lies below the file's folder."""
    folder = os.path.abspath(path.parent)
    here = os.path.abspath(root)
    below = here == folder or here.startswith(folder.rstrip(os.sep) + os.sep)
    return relative(root, path.parent) if below else Path(here).as_posix()


def summary(found: Discovery) -> list[str]:
    """What was understood, in lines of a key and its value."""
    places = found.layout.places
    if found.divided:
        splits = "none found: " + ", ".join(f"{name} {100 * part:.0f} %" for name, part in FRACTIONS.items())
        splits += f" by names and seed {SEED}"
    else:
        splits = ", ".join(f"{'train' if s == ONLY else s} ({len(p.pairs)})" for s, p in places.items())
    unpaired = sum(len(place.unpaired) for place in places.values())
    lines = {
        "layout": found.layout.what,
        "labels": f"{found.labels_are}; looked into {found.sample}",
        "pairs": f"{found.layout.count}"
        + f", and {unpaired} without labels or image, which are skipped" * bool(unpaired),
        "splits": splits,
        "classes": f"{len(found.learnt)}: {_some([row.name for row in found.learnt])}",
        "void": _some([f"{row.id} {row.name}" for row in found.void]) or "none",
        "names": found.layout.names_from or "none found: edit them",
        "targets": ", ".join(found.targets) + " (a guess)",
    }
    if found.image_range:
        lines["images"] = f"{found.image_range[0]} to {found.image_range[1]} of 16 bits become 0 to 255"
    return [f"  {key:8} {value}" for key, value in lines.items()] + [
        f"  note: {note}" for note in found.notes
    ]


def _some(names: Sequence[str]) -> str:
    """The first of some names."""
    return ", ".join(names[:10]) + ", ..." * (len(names) > 10)
