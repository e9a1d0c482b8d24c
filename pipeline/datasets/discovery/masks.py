"""Recognising a folder of masks per class, and the names of PASCAL VOC."""

from __future__ import annotations

import os
from collections import defaultdict

from pipeline.datasets.discovery.layout import ONLY, Layout, Named, Place
from pipeline.datasets.discovery.roles import part_of
from pipeline.datasets.discovery.tree import MAPS, Tree, is_picture, joined, split_of

VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train",
    "tvmonitor",
)  # fmt: skip


def find(tree: Tree) -> Layout | None:
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
    return None


def _below(tree: Tree, parent: str, names: list[str]) -> Layout | None:
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
        named = tuple(Named(name, number) for number, name in enumerate(sorted(names), 1))
        place = Place(paired, keys, alone)
        return Layout(
            "images, and a folder of masks for each class", "masks", {ONLY: place}, named,
            f"the folders in {parent}", background=True, looked_at=f"the names of {len(names)} folders",
        )  # fmt: skip
    return None


def _stem(file: str) -> str:
    return os.path.splitext(file)[0]
