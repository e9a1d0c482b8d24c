"""Where the frames of each split lie: folders where pairing by name finds them, lists where it does not."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.datasets.discovery.layout import ONLY, Pair, SplitPlace
from pipeline.datasets.discovery.pairing import FileGroup
from pipeline.datasets.discovery.tree import MAPS, Tree
from pipeline.datasets.pairs import IMAGES, LABELS, pair_folders
from pipeline.errors import AdaprepError


def places(tree: Tree, group: FileGroup) -> dict[str, SplitPlace]:
    """The splits of a group by name; one that is called "all" where folders name fewer than two."""
    by_split: dict[str, list[Pair]] = defaultdict(list)
    for pair, split in zip(group.pairs, group.splits, strict=True):
        by_split[split or "other"].append(pair)
    if len(by_split) == 1:
        by_split = {ONLY: list(group.pairs)}
    return {
        split: _place(tree, group, by_split[split])
        for split in ("train", "val", "test", "other", ONLY)
        if split in by_split
    }


def place_of_pairs(tree: Tree, group: FileGroup, pairs: Sequence[Pair]) -> SplitPlace:
    """One place for a part of a group, such as the images that a list names."""
    return _place(tree, group, list(pairs))


def _place(tree: Tree, group: FileGroup, pairs: list[Pair]) -> SplitPlace:
    images = _common(os.path.dirname(image) for image, _ in pairs)
    labels = _common(os.path.dirname(label) for _, label in pairs)
    inside = [name for name in group.unpaired if images == "." or name.startswith(images + "/")]
    bare = SplitPlace(tuple(pairs), None, tuple(inside))
    if not group.by_name:
        return bare
    keys: dict[str, Any] = {"images": images, "labels": labels}
    for whole in (False, True):
        for kind, suffix, place in (("image", group.image_suffix, 0), ("label", group.label_suffix, 1)):
            ends = {os.path.splitext(pair[place])[1] for pair in pairs}
            full = whole and len(ends) == 1
            keys[f"{kind}_suffix"] = suffix + (ends.pop() if full else "")
        given = {key: value for key, value in keys.items() if value}
        if _finds(tree, given, pairs, inside):
            return replace(bare, keys=given)
    return bare


def _finds(tree: Tree, keys: dict[str, Any], pairs: list[Pair], unpaired: list[str]) -> bool:
    """Whether pairing the folders by name gives just these pairs."""
    images, labels = tree.root / keys["images"], tree.root / keys["labels"]
    suffixes = keys.get("image_suffix", ""), keys.get("label_suffix", "")
    if not all(label.lower().endswith(LABELS) for _, label in pairs):
        return _by_names(keys, pairs, suffixes)
    try:
        frames = pair_folders(images, labels, None, *suffixes)
    except AdaprepError:
        return False
    wanted = {(tree.root / image, tree.root / label) for image, label in pairs}
    found = {(_plain(frame.image), _plain(frame.label)) for frame in frames}
    extra = found - wanted
    known = {tree.root / name for name in unpaired}
    return wanted <= found and all(image in known or not os.path.exists(image) for image, _ in extra)


def _by_names(keys: dict[str, Any], pairs: list[Pair], suffixes: tuple[str, str]) -> bool:
    """The same for files that are no pictures: below their folders, image and labels have one name."""
    for pair in pairs:
        stems = []
        for path, folder, suffix in zip(pair, (keys["images"], keys["labels"]), suffixes, strict=True):
            below = path if folder == "." else path.removeprefix(folder + "/")
            ends = (*IMAGES, *MAPS, ".json", ".txt")
            whole = suffix.lower().endswith(ends)
            stems.append((below if whole else os.path.splitext(below)[0]).removesuffix(suffix))
        if stems[0] != stems[1]:
            return False
    return True


def _plain(path: Path) -> Path:
    return Path(os.path.normpath(path))


def _common(folders: Any) -> str:
    """The deepest folder that holds all of these; "." for the root."""
    return os.path.commonpath([f"./{folder}" for folder in folders]) or "."
