"""Recognising a folder of masks per class, and the names of PASCAL VOC."""

from __future__ import annotations

import os
from collections import Counter, defaultdict

from pipeline.datasets.discovery import content
from pipeline.datasets.discovery.layout import ONLY, FolderLayout, NamedClass, SplitPlace
from pipeline.datasets.discovery.roles import part_of
from pipeline.datasets.discovery.tree import MAPS, Tree, is_picture, joined, split_of

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


MARKS = ("_", "-", ".")
SOME = 8
"""Masks that are looked into to see that they are such."""


def find(tree: Tree) -> FolderLayout | None:
    """Images, and for each class a folder of masks of the same names; None where there is no such thing."""
    by_parent: dict[str, list[str]] = defaultdict(list)
    for folder, names in tree.by_folder.items():
        above, _, name = folder.rpartition("/")
        is_label = part_of(above.rpartition("/")[2]).role == "label" and split_of(name) is None
        if is_label and any(file.lower().endswith(MAPS) for file in names):
            by_parent[above].append(name)
    for parent, names in by_parent.items():
        if layout := _below(tree, parent, names):
            return layout
    return _by_suffix(tree)


def _by_suffix(tree: Tree) -> FolderLayout | None:
    """Images, and masks of one folder that end in the names of classes: `001_person.png`, `001_hat.png`."""
    for folder, files in tree.by_folder.items():
        if part_of(folder.rpartition("/")[2]).role != "label":
            continue
        stems = [_stem(file) for file in files if file.lower().endswith(MAPS)]
        for images, pictures in tree.by_folder.items():
            named = {_stem(file): joined(images, file) for file in pictures if is_picture(file)}
            if images == folder or part_of(images.rpartition("/")[2]).role == "label" or not named:
                continue
            ends = Counter(end for stem in stems if (end := _end(stem, named)))
            usual = sorted(end for end, count in ends.items() if count > 1)
            covered = sum(ends[end] for end in usual) == len(stems)
            if len(usual) < 2 or not covered or not _are_masks(tree, folder):
                continue
            return _layout(tree, folder, images, named, usual)
    return None


def _end(stem: str, named: dict[str, str]) -> str:
    """What follows the name of an image, from the mark on; "" where no image has that name."""
    for mark in MARKS:
        head, found, end = stem.rpartition(mark)
        if found and end and head in named:
            return mark + end
    return ""


def _are_masks(tree: Tree, folder: str) -> bool:
    """Whether a few maps of a folder hold one value beside 0."""
    files = [file for file in tree.by_folder[folder] if file.lower().endswith(MAPS)]
    some = [tree.root / joined(folder, file) for file in files[:SOME]]
    return all(content.is_mask(path) for path in some)


def _layout(
    tree: Tree, folder: str, images: str, named: dict[str, str], usual: list[str]
) -> FolderLayout | None:
    marks = {end[0] for end in usual}
    if len(marks) > 1:
        return None
    present = {_stem(file) for file in tree.by_folder[folder]}
    masked = {stem for stem in named if any(stem + end in present for end in usual)}
    paired = tuple((named[stem], folder) for stem in sorted(masked))
    alone = tuple(named[stem] for stem in sorted(named.keys() - masked))
    keys = {"images": images or ".", "labels": folder, "label_suffix": f"{marks.pop()}{{class}}"}
    classes = tuple(NamedClass(end[1:], number) for number, end in enumerate(usual, 1))
    return FolderLayout(
        "images, and a mask for each class with its name behind the image's", "masks",
        {ONLY: SplitPlace(paired, keys, alone)}, classes, f"the names of the files in {folder}",
        background=True, looked_at=f"the names of {len(present)} masks",
    )  # fmt: skip


def _below(tree: Tree, parent: str, names: list[str]) -> FolderLayout | None:
    """The layout of the masks below one folder, if the images have the same names."""
    masks = [{_stem(file) for file in tree.by_folder[joined(parent, name)]} for name in names]
    every = set[str]().union(*masks)
    shared = sum(map(len, masks)) > len(every)  # else the folders are scenes or splits
    for folder, files in tree.by_folder.items():
        images = {_stem(file): joined(folder, file) for file in files if is_picture(file)}
        if folder.startswith(parent) or not images or len(images.keys() & every) < len(every) / 2:
            continue
        if folder.rpartition("/")[2] in names or (not shared and len(names) > 1):
            continue
        keys = {"images": folder or ".", "labels": f"{parent}/{{class}}"}
        paired = tuple((images[stem], parent) for stem in sorted(images.keys() & every))
        alone = tuple(images[stem] for stem in sorted(images.keys() - every))
        named = tuple(NamedClass(name, number) for number, name in enumerate(sorted(names), 1))
        place = SplitPlace(paired, keys, alone)
        return FolderLayout(
            "images, and a folder of masks for each class", "masks", {ONLY: place}, named,
            f"the folders in {parent}", background=True, looked_at=f"the names of {len(names)} folders",
        )  # fmt: skip
    return None


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
