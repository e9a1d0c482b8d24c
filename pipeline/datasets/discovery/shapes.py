"""Recognising Labelme's and YOLO's files: one of outlines for each image."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import TypeVar

from pipeline.datasets.discovery import naming
from pipeline.datasets.discovery.json_files import objects_in, read_object
from pipeline.datasets.discovery.layout import ONLY, FolderLayout, NamedClass, SplitPlace
from pipeline.datasets.discovery.pairing import FileGroup, groups
from pipeline.datasets.discovery.placing import places
from pipeline.datasets.discovery.tree import Tree, is_picture, joined, split_of
from pipeline.datasets.files import read_bytes
from pipeline.datasets.limits import read_limited
from pipeline.errors import AdaprepError

ENOUGH = 5
"""Files that say of what kind the others are."""

MANY_SMALL = 2000
"""Files of outlines that are looked into where there are more: each names classes of its own."""

MAX_TEXT = 4 * 2**20
T = TypeVar("T")

VOID_LABELS = ("__ignore__",)
BACKGROUND_LABELS = ("_background_", "background")


def labelme(tree: Tree, sample: int) -> FolderLayout | None:
    """Labelme's layout; None where no JSON file beside or opposite an image is one of Labelme's."""
    files = tree.ending_in(".json")
    some = spread(files, 10 * ENOUGH)
    if 2 * sum(_is_labelme(tree, file) for file in some) < len(some) or not some:
        return None
    found = groups(tree, (".json",))
    if not found:
        return None
    labels, looked = _labels(tree, [label for _, label in found[0].pairs], max(sample, MANY_SMALL))
    names = tuple(NamedClass(name, void=name in VOID_LABELS) for name, _ in sorted(labels.items()))
    return FolderLayout(
        "Labelme files" + beside(found[0]),
        "labelme",
        places(tree, found[0]),
        names,
        "the labels of the shapes",
        background=not any(name in BACKGROUND_LABELS for name in labels),
        looked_at=looked,
    )


def _is_labelme(tree: Tree, file: str) -> bool:
    """Labelme's files hold `shapes` and `imagePath`; the pixels of the image may come before either."""
    try:
        data = read_bytes(tree.root / file)
    except AdaprepError:
        return False
    return b'"shapes"' in data and (b'"imagePath"' in data or b'"imageData"' in data)


def _labels(tree: Tree, files: list[str], sample: int) -> tuple[Counter[str], str]:
    """Labels of the shapes, with the number of files that each occurs in, and how many were looked at."""
    some = spread(files, sample)
    counts: Counter[str] = Counter()
    for file in some:
        shapes = objects_in((read_object(tree.root / file) or {}).get("shapes"))
        counts.update({shape["label"] for shape in shapes if isinstance(shape.get("label"), str)})
    return counts, of(len(some), len(files), "Labelme files")


def yolo(tree: Tree, sample: int) -> FolderLayout | None:
    """YOLO's layout; None where no text file of an image holds outlines."""
    found = groups(tree, (".txt",))
    if not found:
        return None
    some = spread([label for _, label in found[0].pairs], max(sample, MANY_SMALL))
    kinds = [kind for file in some if (kind := _yolo_kind(tree.root / file))]
    if not kinds or not any("outlines" in kind for kind, _ in kinds):
        return None
    seen = sorted({number for _, numbers in kinds for number in numbers})
    names, source = _yolo_names(tree)
    known = {named.id for named in names}
    return FolderLayout(
        "YOLO outlines" + beside(found[0]),
        "yolo",
        places(tree, found[0]),
        (*names, *(NamedClass(f"class {number}", number) for number in seen if number not in known)),
        source,
        background=True,
        looked_at=of(len(some), len(found[0].pairs), "text files"),
    )


def yolo_boxes(tree: Tree) -> str:
    """A sentence if there are text files of YOLO's form that hold bounding boxes alone."""
    for group in groups(tree, (".txt",))[:1]:
        for _, label in group.pairs[:ENOUGH]:
            if (kind := _yolo_kind(tree.root / label)) and kind[0] == "boxes":
                return (
                    f"{label} holds bounding boxes as YOLO writes them (5 numbers a line): no class of any "
                    f"pixel can be told from them."
                )
    return ""


def _yolo_kind(path: Path) -> tuple[str, set[int]] | None:
    """What a text file of YOLO's holds, "outlines" or "boxes", and the classes' numbers; None of others."""
    try:
        text = read_limited(path, MAX_TEXT, may_be_empty=True).decode("utf-8-sig")
        rows = [[float(word) for word in line.split()] for line in text.splitlines() if line.strip()]
    except (AdaprepError, ValueError):
        return None
    if not all(len(row) >= 5 and row[0].is_integer() and 0 <= row[0] < 65536 for row in rows):
        return None
    kind = "outlines" if any(len(row) >= 7 for row in rows) else "boxes" if rows else ""
    return kind, {int(row[0]) for row in rows}


def _yolo_names(tree: Tree) -> tuple[tuple[NamedClass, ...], str]:
    """The classes that data.yaml, or a list beside the labels, names."""
    for file in tree.ending_in(".yaml", ".yml"):
        names = naming.yolo_names(tree.root / file)
        if names:
            return tuple(NamedClass(name, number) for number, name in sorted(names.items())), file
    for file in tree.named("classes.txt", "obj.names", "names.txt", "labels.txt"):
        if rows := naming.read(tree.root / file):
            named = [
                NamedClass(row.name, number if row.id is None else row.id) for number, row in enumerate(rows)
            ]
            return tuple(named), file
    return (), ""


def supervisely(tree: Tree) -> FolderLayout | None:
    """Supervisely's project: `meta.json`, and folders `img` and `ann` in each data set."""
    for meta in tree.named("meta.json"):
        classes = objects_in((read_object(tree.root / meta) or {}).get("classes"))
        placed = _project(tree, meta.rpartition("/")[0])
        if not classes or not placed:
            continue
        names = tuple(
            NamedClass(row["title"], color=naming.hex_color(row.get("color")))
            for row in classes
            if isinstance(row.get("title"), str)
        )
        return FolderLayout(
            "a Supervisely project", "supervisely", placed, names, meta, background=True,
            looked_at="its meta.json",
        )  # fmt: skip
    return None


def _project(tree: Tree, base: str) -> dict[str, SplitPlace]:
    """The data sets of a project: its splits where they are called so, else one place of all."""
    found: dict[str, SplitPlace] = {}
    for folder, names in tree.by_folder.items():
        above, _, last = folder.rpartition("/")
        if last != "img" or not (above + "/").startswith(base and base + "/"):
            continue
        files = {name: _annotation(tree, joined(above, "ann"), name) for name in names if is_picture(name)}
        pairs = tuple((joined(folder, name), label) for name, label in sorted(files.items()) if label)
        alone = tuple(joined(folder, name) for name, label in sorted(files.items()) if not label)
        if pairs:
            found[above] = SplitPlace(pairs, {"images": folder, "labels": joined(above, "ann")}, alone)
    by_split = {split_of(above.rpartition("/")[2]): place for above, place in found.items()}
    if len(found) > 1 and len(by_split) == len(found) and None not in by_split:
        return {split: by_split[split] for split in ("train", "val", "test") if split in by_split}
    if len(found) < 2:
        return dict.fromkeys([ONLY], *found.values()) if found else {}
    pairs = tuple(pair for place in found.values() for pair in place.pairs)
    return {ONLY: SplitPlace(pairs, None, tuple(name for place in found.values() for name in place.unpaired))}


def _annotation(tree: Tree, folder: str, image: str) -> str:
    """`NAME.png.json`, or `NAME.json` as former exports have it; "" where there is neither."""
    names = (f"{image}.json", f"{os.path.splitext(image)[0]}.json")
    return next((path for name in names if (path := joined(folder, name)) in tree.present), "")


def beside(group: FileGroup) -> str:
    """Where the files of a group lie."""
    return " in a folder beside the images" if group.labels else " in the folder of the images"


def spread(files: list[T], count: int) -> list[T]:
    """So many of some things, evenly over all; all where there are no more."""
    if len(files) <= count:
        return files
    return [files[number * len(files) // count] for number in range(count)]


def of(some: int, every: int, what: str) -> str:
    """How many were looked at of how many."""
    return f"all of {every} {what}" if some == every > 1 else f"{some} of {every} {what}"
