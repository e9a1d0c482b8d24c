"""Recognising COCO's annotation files, one per split, and the folder of the images that each speaks of."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from pipeline.datasets.discovery.json_files import objects_in, read_object
from pipeline.datasets.discovery.layout import ONLY, FolderLayout, NamedClass, SplitPlace
from pipeline.datasets.discovery.shapes import of
from pipeline.datasets.discovery.tree import Tree, is_picture, joined, split_of

MAX_FILES = 40
"""JSON files beyond which each is taken to speak of one image."""

SAMPLE = 200
"""Images by whose names their folder is found."""


@dataclass(frozen=True)
class _Annotations:
    """One file."""

    file: str
    folder: str  # of its images
    images: tuple[str, ...]  # paths from the root
    absent: tuple[str, ...]  # images that are listed and not there
    categories: tuple[NamedClass, ...]
    outlined: int  # annotations with a polygon or a mask
    boxes: int  # annotations without


def find(tree: Tree, only: tuple[str, ...] = ()) -> FolderLayout | None:
    """COCO's layout, of these files alone if some are given; None where none of COCO's holds outlines."""
    files = list(only) or tree.ending_in(".json")
    if len(files) > MAX_FILES:
        files = [file for file in files if _may_be(tree, file)][:MAX_FILES]
    found = [read for file in files if (read := _read(tree, file))]
    outlined = [one for one in found if one.outlined]
    if not outlined:
        return None
    places, chosen, notes = _places(outlined)
    for one in found:
        if one not in chosen:
            why = "bounding boxes alone" if not one.outlined else "another file was taken for its split"
            notes.append(f"{one.file} is not used: {why}")
    names = list(dict.fromkeys(named for one in chosen for named in one.categories))
    return FolderLayout(
        "COCO annotations",
        "coco",
        places,
        tuple(sorted(names, key=lambda named: named.id or 0)),
        ", ".join(one.file for one in chosen),
        background=True,
        notes=tuple(notes),
        files=tuple(one.file for one in chosen),
        looked_at=of(len(chosen), len(found), "annotation files"),
    )


def boxes_alone(tree: Tree) -> str:
    """A sentence if there are annotation files of COCO's form that hold bounding boxes alone."""
    for file in tree.ending_in(".json")[:MAX_FILES]:
        if (read := _read(tree, file)) and not read.outlined:
            return (
                f"{file} is a COCO file with bounding boxes alone: no class of any pixel can be told from it."
            )
    return ""


def _may_be(tree: Tree, file: str) -> bool:
    """Whether a JSON file is other than those beside it of one image each."""
    stem = os.path.splitext(file)[0]
    beside = any(stem + end in tree.present for end in (".jpg", ".jpeg", ".png", ".JPG"))
    return not beside and ("coco" in file.lower() or split_of(file.rpartition("/")[2]) is not None)


def _read(tree: Tree, file: str) -> _Annotations | None:
    content = read_object(tree.root / file)
    if content is None or not {"images", "annotations", "categories"} <= content.keys():
        return None
    images = {
        image["id"]: image["file_name"]
        for image in objects_in(content["images"])
        if isinstance(image.get("file_name"), str) and isinstance(image.get("id"), int | str)
    }
    annotations = objects_in(content["annotations"])
    categories = tuple(
        NamedClass(row["name"], row["id"])
        for row in objects_in(content["categories"])
        if isinstance(row.get("name"), str) and isinstance(row.get("id"), int)
    )
    with_outline = [a for a in annotations if _outlined(a)]
    folder = _folder(tree, list(images.values()), file)
    paths = sorted({joined(folder, name) for name in images.values()})
    return _Annotations(
        file,
        folder or ".",
        tuple(path for path in paths if path in tree.present),
        tuple(path for path in paths if path not in tree.present),
        categories,
        len(with_outline),
        len(annotations) - len(with_outline),
    )


def _outlined(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("segmentation")) and isinstance(annotation["segmentation"], dict | list)


def _folder(tree: Tree, names: list[str], file: str) -> str:
    """The folder that most of the named images lie in; near the annotations, and of their split."""
    votes: Counter[str] = Counter()
    for name in names[:SAMPLE]:
        for path in tree.by_name.get(name.rpartition("/")[2], ()):
            if is_picture(path) and (path == name or path.endswith("/" + name)):
                votes[path[: -len(name)].rstrip("/")] += 1
    if not votes:
        return ""
    most, split = max(votes.values()), split_of(file)
    near = [folder for folder, count in votes.items() if count >= most]
    return min(near, key=lambda folder: (split_of(folder) != split, len(folder)))


def _places(found: list[_Annotations]) -> tuple[dict[str, SplitPlace], list[_Annotations], list[str]]:
    """One file per split: the one of instances, or else of most outlines."""
    by_split: dict[str, _Annotations] = {}
    for one in sorted(found, key=lambda one: ("instances" in one.file, one.outlined, one.file), reverse=True):
        by_split.setdefault(split_of(one.file.rpartition("/")[2]) or split_of(one.file) or ONLY, one)
    if len(by_split) > 1:
        by_split.pop(ONLY, None)
    elif by_split:
        by_split = {ONLY: next(iter(by_split.values()))}
    notes, places = list[str](), {}
    for split in ("train", "val", "test", ONLY):
        if split in by_split:
            one = by_split[split]
            pairs = tuple((image, one.file) for image in one.images)
            places[split] = SplitPlace(pairs, {"images": one.folder, "labels": one.file}, one.absent)
            if one.boxes:
                notes.append(
                    f"{one.file}: {one.boxes} annotations are boxes without an outline, and not drawn"
                )
    return places, [by_split[split] for split in places], notes
