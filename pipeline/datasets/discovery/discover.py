"""The whole of it: a folder in, what it holds out."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from pipeline.datasets.described_file import name_of
from pipeline.datasets.discovery import classes, coco, content, lists, masks, missing, naming, photos, shapes
from pipeline.datasets.discovery.content import Seen
from pipeline.datasets.discovery.layout import ONLY, FolderLayout, NamedClass, SplitPlace
from pipeline.datasets.discovery.missing import NothingFound
from pipeline.datasets.discovery.pairing import FileGroup, groups, groups_of
from pipeline.datasets.discovery.placing import place_of_pairs, places
from pipeline.datasets.discovery.tree import MAPS, Tree, is_picture, joined
from pipeline.datasets.discovery.written import Discovery
from pipeline.errors import AdaprepError
from pipeline.names import printable
from pipeline.units import several

SAMPLE = 200
"""Label files that are looked into where there are more."""

LEVELS = 4
"""Folders in which the images that a list names are looked for: its own, and those above it."""

WORDS = {
    "maps": "label maps",
    "coco": "COCO",
    "labelme": "Labelme",
    "yolo": "YOLO",
    "supervisely": "Supervisely",
}


def discover(
    root: Path, sample: int = SAMPLE, wanted: str | None = None, listed: str | None = None
) -> Discovery:
    """What a folder holds.

    Parameters
    ----------
    sample
        Label files that are looked into where there are more.
    wanted
        The format, as `labels_are` calls it, where a folder holds several.
    listed
        A file of the folder, a list, that says which images count.

    Raises
    ------
    AdaprepError
        Nothing was recognised: says what was seen and what is missing.
    """
    tree = Tree(root)
    every = _layouts(tree, sample) if listed is None else [_of_file(tree, listed)]
    found = [layout for layout in every if layout and layout.count]
    if wanted:
        kinds = {"ids": "maps", "colors": "maps"}
        found = [layout for layout in found if layout.labels_are == kinds.get(wanted, wanted)]
    if not found:
        raise missing.nothing(tree, wanted)
    layout = max(found, key=lambda one: one.count)
    others = [
        f"there are also {WORDS.get(one.labels_are, one.labels_are)} "
        f"({one.what}, {several(one.count, 'image')}): "
        f"--labels-are {one.labels_are} takes these"
        for one in found
        if one.labels_are not in (layout.labels_are, "maps", "masks")
    ]
    return _looked_into(tree, replace(layout, notes=(*layout.notes, *others)), sample)


def discover_file(path: Path, sample: int = SAMPLE, wanted: str | None = None) -> Discovery:
    """What a list, or a file of annotations, says of the images beside it or in a folder above.

    Raises
    ------
    AdaprepError
        None of the folders above holds what it lists.
    """
    file = path.absolute()
    folders = [above for above in list(file.parents)[:LEVELS] if above != above.parent]
    for folder in folders:
        try:
            return discover(folder, sample, wanted, file.relative_to(folder).as_posix())
        except NothingFound:
            continue
    raise AdaprepError(
        printable(
            f"{path}: lists no images with labels that lie beside it or in one of the {len(folders)} folders "
            f"above. A list holds an image and its label map per line, or the name of an image."
        )
    )


def _layouts(tree: Tree, sample: int) -> list[FolderLayout | None]:
    """Every way to read a tree; of two with as many images the first is taken."""
    texts = lists.read(tree)
    return [
        shapes.supervisely(tree),
        lists.of_pairs(tree, texts),
        masks.find(tree),
        _maps(tree, texts),
        coco.find(tree),
        shapes.labelme(tree, sample),
        shapes.yolo(tree, sample),
    ]


def _of_file(tree: Tree, file: str) -> FolderLayout | None:
    """What one file describes: a list of pairs or of images, or an annotation file of COCO."""
    if file.lower().endswith(".json"):
        return coco.find(tree, (file,))
    texts = [one for one in lists.read(tree) if one.file == file]
    layout = lists.of_pairs(tree, texts)
    if layout or not texts:
        return layout
    found = groups(tree, MAPS)
    named = {row[0] for row in texts[0].rows}
    for group in found:
        pairs = [pair for pair in group.pairs if pair[0] in named or _stem(pair[0], group) in named]
        if pairs:
            whole = place_of_pairs(tree, group, list(group.pairs)).keys
            place = place_of_pairs(tree, replace(group, unpaired=()), pairs)
            keys = whole and {**whole, "stems": file}
            return FolderLayout(
                f"{_what(group)}, the images that {file} lists", "maps", {ONLY: replace(place, keys=keys)}
            )
    return None


def _stem(image: str, group: FileGroup) -> str:
    """The name of an image without folder, ending and suffix."""
    return os.path.splitext(os.path.basename(image))[0].removesuffix(group.image_suffix)


def _maps(tree: Tree, texts: list[lists.TextList]) -> FolderLayout | None:
    """Images and label maps that pair up by name, in the splits that folders or lists name."""
    found = groups(tree, MAPS) or _by_content(tree)
    if not found:
        return None
    group = _readable(tree, found)
    placed = places(tree, group)
    if set(placed) == {ONLY} and (listed := _listed_splits(tree, group, texts)):
        placed = listed
    return FolderLayout(_what(group), "maps", placed)


def _what(group: FileGroup) -> str:
    """The layout of a group in words."""
    names = [image for image, _ in group.pairs]
    if not group.labels:
        return "images and label maps in the same folders"
    if any("gtfine" in name.lower() for name in group.labels.split("/")):
        return "a tree like that of Cityscapes"
    if any("JPEGImages" in name for name in names) and "segmentationclass" in group.labels.lower():
        return "a tree like that of PASCAL VOC"
    if any(name.startswith("images/training/") for name in names) and group.labels == "annotations":
        return "a tree like that of ADE20K"
    return "images and label maps in folders of their own"


def _readable(tree: Tree, found: list[FileGroup]) -> FileGroup:
    """Of the groups with as many pairs, the first whose label maps look like such."""
    most = len(found[0].pairs)
    for group in found:
        if 10 * len(group.pairs) >= 9 * most:
            files = [tree.root / label for _, label in group.pairs[:3]]
            if any(content.looks_like_labels(path) or path.suffix.lower() == ".npy" for path in files):
                return group
    return found[0]


def _by_content(tree: Tree) -> list[FileGroup]:
    """Groups of folders whose names say nothing, told apart by what their pictures look like."""
    images, labels = list[str](), list[str]()
    for folder, names in tree.by_folder.items():
        pictures = [name for name in names if is_picture(name)]
        if not pictures:
            continue
        some = [tree.root / joined(folder, name) for name in pictures[:: max(1, len(pictures) // 3)]][:3]
        (labels if all(map(content.looks_like_labels, some)) else images).append(folder)
    return groups_of(tree, images, labels, MAPS)


def _listed_splits(tree: Tree, group: FileGroup, texts: list[lists.TextList]) -> dict[str, SplitPlace]:
    """The splits that lists of images make of a group; none where fewer than two do."""
    stems = {_stem(image, group): (image, label) for image, label in group.pairs}
    found = lists.of_images(texts, stems)
    if len(found) < 2:
        return {}
    splits: dict[str, SplitPlace] = {}
    for split in ("train", "val", "test"):
        if split in found:
            file, pairs = found[split]
            place = place_of_pairs(tree, replace(group, unpaired=()), pairs)
            whole = place_of_pairs(tree, group, list(group.pairs))
            keys = whole.keys and {**whole.keys, "stems": file}
            splits[split] = replace(place, keys=keys)
    return splits


def _looked_into(tree: Tree, layout: FolderLayout, sample: int) -> Discovery:
    """The layout with its classes."""
    seen: Seen | None = None
    labels_are, looked, notes = layout.labels_are, layout.looked_at, list(layout.notes)
    if layout.labels_are == "maps":
        files = [tree.root / label for place in layout.places.values() for _, label in place.pairs]
        seen = content.look(files, sample)
        labels_are, looked = seen.kind, seen.sample()
        _refuse_unreadable(tree, seen)
        notes += [f"{path} has more colours than a label map: left out" for path in seen.photos[:1]]
        notes += [f"{problem} ({len(seen.problems)} of this kind)" for problem in seen.problems[:1]]
    names, source = (layout.names, layout.names_from) if layout.names else naming.find(tree)
    if not layout.names and seen is not None:
        names, source = _builtin(layout, seen, names, source)
    if source == "Cityscapes":
        notes.append("adaprep knows Cityscapes, its splits and objects: --dataset cityscapes --root FOLDER")
    layout = replace(layout, names=names, names_from=source)
    rows, more = classes.rows(layout, seen)
    if not any(row.named for row in rows):
        layout = replace(layout, names_from="")
    files_seen = seen.files if seen else 0
    return Discovery(
        name_of(Path(tree.root.resolve().name or "data")),
        tree.root,
        layout,
        labels_are,
        tuple(rows),
        tuple(classes.targets(rows, files_seen)),
        looked,
        files_seen,
        photos.used_range([tree.root / image for p in layout.places.values() for image, _ in p.pairs]),
        tuple(printable(note) for note in (*notes, *more)),
    )


def _refuse_unreadable(tree: Tree, seen: Seen) -> None:
    """Raise AdaprepError where not one label map could be read."""
    if seen.counts:
        return
    many = f"has more than {content.MAX_COLORS} colours: a photo, or a label map whose edges are smoothed"
    why = seen.problems[0] if seen.problems else f"{seen.photos[0]} {many}"
    raise AdaprepError(
        printable(
            f"{tree.root}: not one of {seen.files} label maps can be read. {why}\nSeen:\n{tree.description()}"
        )
    )


def _builtin(
    layout: FolderLayout, seen: Seen, names: tuple[NamedClass, ...], source: str
) -> tuple[tuple[NamedClass, ...], str]:
    """The names of Cityscapes or VOC, where the tree and the ids are theirs and no file names them."""
    if names or seen.colors:
        return names, source
    if "Cityscapes" in layout.what:
        from pipeline.datasets.cityscapes import Cityscapes

        if seen.ids.keys() <= {row.id for row in Cityscapes.table.classes}:
            rows = Cityscapes.table.classes
            known = tuple(NamedClass(r.name, r.id, r.color, r.train_id == 255) for r in rows if r.id >= 0)
            return known, "Cityscapes"
    if "PASCAL VOC" in layout.what and seen.ids.keys() <= {*range(len(masks.VOC)), 255}:
        return tuple(NamedClass(name, number) for number, name in enumerate(masks.VOC)), "PASCAL VOC"
    return names, source
