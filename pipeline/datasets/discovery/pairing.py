"""Pairing images with label files by the names of their folders and their own."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from pipeline.datasets.discovery.layout import Pair
from pipeline.datasets.discovery.roles import COLORED, Role, common_head, part_of, rank, tails
from pipeline.datasets.discovery.tree import Tree, is_picture, joined, split_of
from pipeline.datasets.pairs import IMAGES

MANY = 5000
"""Names that suffixes are looked for in; where there are more, the first of them."""

NEARLY = 0.9
"""Share of the most pairs from which on another suffix is preferred for what it says."""

Slot = tuple[str, ...]
"""What the folders of an image and of its labels have in common."""


@dataclass(frozen=True)
class FileGroup:
    """Images and labels that pair up in one way."""

    labels: str  # what their folder is called, "" where they lie with the images
    image_suffix: str
    label_suffix: str
    pairs: tuple[Pair, ...]
    splits: tuple[str | None, ...]  # of each pair
    unpaired: tuple[str, ...]
    by_name: bool = True  # whether image and labels have one name but for the suffixes

    @property
    def preference(self) -> tuple[int, int, int]:
        """For sorting: the most pairs first, then names that speak of ids."""
        words = self.labels.lower().replace("-", "_").split("_")
        return -len(self.pairs), 5 * bool(COLORED & set(words)), rank(self.label_suffix)


@dataclass(frozen=True)
class _Leaf:
    """A folder of files of one role."""

    folder: str
    names: tuple[str, ...]
    role: Role
    word: str  # the part of the path that says the role
    exact: Slot
    loose: Slot


def groups(tree: Tree, endings: tuple[str, ...], among: frozenset[str] | None = None) -> list[FileGroup]:
    """Every way in which images pair up with files of these endings, the likeliest first.

    Parameters
    ----------
    endings
        Of label files, in lower case.
    among
        The label files that count; None: all.
    """
    is_label = _test(endings, among)
    labels = [leaf for leaf in _leaves(tree, is_label) if leaf.role == "label"]
    images = [leaf for leaf in _leaves(tree, is_picture) if leaf.role in ("image", "unknown")]
    found = [*_between(images, labels, "exact")]
    found = found or [*_between(images, labels, "loose")]
    found += _within_folders(tree, is_label)
    return sorted((group for group in found if group.pairs), key=lambda group: group.preference)


def groups_of(tree: Tree, images: list[str], labels: list[str], endings: tuple[str, ...]) -> list[FileGroup]:
    """The same of folders that are known to hold images and labels."""
    is_label = _test(endings, None)
    as_images = [leaf for leaf in _leaves(tree, is_picture) if leaf.folder in images]
    as_labels = [leaf for leaf in _leaves(tree, is_label) if leaf.folder in labels]
    found: list[FileGroup] = []
    for label in as_labels:
        for image in as_images:
            one, other = _keyed([image], lambda _: ()), _keyed([label], lambda _: ())
            found += _match(one, other, label.folder)
    return sorted((group for group in found if group.pairs), key=lambda group: group.preference)


def _test(endings: tuple[str, ...], among: frozenset[str] | None) -> Callable[[str], bool]:
    return lambda file: file.lower().endswith(endings) and (among is None or file in among)


def _leaves(tree: Tree, wanted: Callable[[str], bool]) -> Iterator[_Leaf]:
    """The folders that hold wanted files, each with its role and its slots."""
    for folder, names in tree.by_folder.items():
        kept = tuple(name for name in names if wanted(joined(folder, name)))
        if kept:
            yield _leaf(folder, kept)


def _leaf(folder: str, names: tuple[str, ...]) -> _Leaf:
    components = tuple(folder.split("/")) if folder else ()
    for place in reversed(range(len(components))):
        part = part_of(components[place])
        if part.role != "unknown":
            above, below = components[:place], components[place + 1 :]
            lowered = tuple(c.lower() for c in above)
            exact = (*lowered, *([part.rest] if part.rest else []), *below)
            kept = tuple(s for c in (*above, part.rest) if (s := split_of(c)))
            word = "/".join([*(c for c in above if not split_of(c)), part.word])
            return _Leaf(folder, names, part.role, word, exact, (*kept, *below))
    exact = tuple(c.lower() for c in components)
    return _Leaf(folder, names, "unknown", "", exact, tuple(s for c in components if (s := split_of(c))))


def _between(images: list[_Leaf], labels: list[_Leaf], kind: str) -> Iterator[FileGroup]:
    """Groups of images and labels in folders of their own, by what these are called."""

    def slot(leaf: _Leaf) -> Slot:
        return leaf.exact if kind == "exact" else leaf.loose

    words = list(dict.fromkeys(leaf.word if kind == "loose" else part_word(leaf) for leaf in labels))
    for word in words:
        mine = [leaf for leaf in labels if (leaf.word if kind == "loose" else part_word(leaf)) == word]
        slots = {slot(leaf) for leaf in mine}
        facing = [leaf for leaf in images if slot(leaf) in slots]
        if any(leaf.role == "image" for leaf in facing):
            facing = [leaf for leaf in facing if leaf.role == "image"]
        by_word: dict[str, list[_Leaf]] = defaultdict(list)
        for leaf in facing:
            by_word[part_word(leaf)].append(leaf)
        for others in by_word.values():
            yield from _match(_keyed(others, slot), _keyed(mine, slot), word)


def part_word(leaf: _Leaf) -> str:
    """The word of the component that says the role, in lower case and without the split's name."""
    component = leaf.word.rpartition("/")[2]
    rest = part_of(component).rest if component else ""
    return component.lower().replace(rest, "").strip("_-. ") if rest else component.lower()


def _within_folders(tree: Tree, is_label: Callable[[str], bool]) -> Iterator[FileGroup]:
    """Groups of images and labels that lie in the same folders."""
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    for leaf in _leaves(tree, is_label):
        beside = tuple(name for name in tree.by_folder[leaf.folder] if is_picture(name))
        if beside:
            labels.update(_keyed([leaf], lambda one: tuple(one.folder.split("/"))))
            images.update(_keyed([_leaf(leaf.folder, beside)], lambda one: tuple(one.folder.split("/"))))
    if images:
        yield from _match(images, labels, "")


def _keyed(leaves: list[_Leaf], slot: Callable[[_Leaf], Slot]) -> dict[str, str]:
    """Files by slot and stem; of two with one stem, the one whose ending comes first."""
    found: dict[str, str] = {}
    for leaf in leaves:
        prefix = "/".join(slot(leaf))
        for name in sorted(leaf.names, key=_order, reverse=True):
            found[f"{prefix}/{os.path.splitext(name)[0]}"] = joined(leaf.folder, name)
    return found


def _order(name: str) -> int:
    ending = os.path.splitext(name)[1].lower()
    return IMAGES.index(ending) if ending in IMAGES else len(IMAGES)


def _match(images: Mapping[str, str], labels: Mapping[str, str], word: str) -> Iterator[FileGroup]:
    """The pairs that most names agree on, for each suffix of labels that gives about as many."""
    some_images, some_labels = sorted(images)[:MANY], sorted(labels)[:MANY]
    stems = [key.rpartition("/")[2] for key in some_images], [key.rpartition("/")[2] for key in some_labels]
    counts: dict[tuple[str, str], int] = {}
    for image_suffix in tails(stems[0]):
        keys = {k.removesuffix(image_suffix): images[k] for k in some_images if k.endswith(image_suffix)}
        for label_suffix in tails(stems[1]):
            count = sum(
                keys.get(k.removesuffix(label_suffix), labels[k]) != labels[k]
                for k in some_labels
                if k.endswith(label_suffix)
            )
            if count:
                counts[image_suffix, label_suffix] = count
    if not counts:
        yield from _numbered(images, labels, word)
        return
    enough = NEARLY * max(counts.values())
    best: dict[str, tuple[str, str]] = {}
    for pair in sorted((p for p, n in counts.items() if n >= enough), key=_simplest):
        best.setdefault(pair[1], pair)
    for image_suffix, label_suffix in list(best.values())[:4]:
        yield _group(images, labels, word, image_suffix, label_suffix)


def _simplest(suffixes: tuple[str, str]) -> tuple[int, int, int]:
    """Image suffixes that speak of labels are for label maps: last."""
    image, label = suffixes
    return rank(label) + 8 * (bool(image) and rank(image) in (0, 1, 9)), len(image), len(label)


def _group(
    images: Mapping[str, str], labels: Mapping[str, str], word: str, image_suffix: str, label_suffix: str
) -> FileGroup:
    taken = {k.removesuffix(label_suffix): f for k, f in labels.items() if k.endswith(label_suffix)}
    pairs, splits, unpaired = list[Pair](), list[str | None](), list[str]()
    used = set(taken.values())
    for key, image in sorted(images.items()):
        if not key.endswith(image_suffix) or image in used:
            continue
        label = taken.get(key[: len(key) - len(image_suffix)])
        if label is None:
            unpaired.append(image)
            continue
        pairs.append((image, label))
        splits.append(_split(image, label))
    return FileGroup(word, image_suffix, label_suffix, tuple(pairs), tuple(splits), tuple(unpaired))


def _numbered(images: Mapping[str, str], labels: Mapping[str, str], word: str) -> Iterator[FileGroup]:
    """Pairs of names that differ in what they begin with: `img_001` and `mask_001`."""
    pairs = []
    heads = [common_head(key.rpartition("/")[2] for key in keys) for keys in (images, labels)]
    if not any(heads):
        return
    rests = {k.rpartition("/")[0] + "/" + k.rpartition("/")[2].removeprefix(heads[1]): k for k in labels}
    for key, image in sorted(images.items()):
        folder, _, stem = key.rpartition("/")
        if (other := rests.get(f"{folder}/{stem.removeprefix(heads[0])}")) and labels[other] != image:
            pairs.append((image, labels[other]))
    paired = {image for image, _ in pairs}
    unpaired = tuple(image for image in sorted(images.values()) if image not in paired)
    splits = tuple(_split(*pair) for pair in pairs)
    yield FileGroup(word, "", "", tuple(pairs), splits, unpaired, by_name=False)


def _split(image: str, label: str) -> str | None:
    """The split that the folders of a pair speak of."""
    for path in (image, label):
        for component in path.split("/")[:-1]:
            if split := split_of(component):
                return split
    return None
