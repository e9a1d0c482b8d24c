"""Pairing a folder of images with a folder of label maps by what their names have in common."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pipeline.datasets.base import Frame
from pipeline.datasets.files import exists, find_keys, walk

IMAGES: tuple[str, ...] = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
IMAGES += (".ppm", ".pgm", ".pnm", ".gif", ".jp2", ".j2k", ".avif", ".jpe", ".jfif", ".tga", ".pcx", ".sgi")
IMAGES += (".rgb", ".ras", ".qoi", ".dds", ".psd")
LABELS = (".png", ".bmp", ".tif", ".tiff", ".pgm", ".pnm", ".npy")
"""Endings, in any case."""

OTHERS: tuple[str, ...] = (".jxl", ".pbm", ".pam", ".eps", ".ps", ".ico")
OTHERS += (".xcf", ".heic", ".heif", ".dng", ".cr2", ".nef", ".arw", ".exr", ".hdr", ".pfm", ".svg")
OTHERS += (".pdf", ".npy", ".npz", ".mat")
"""Endings of pictures and arrays that are not read: taken where there is nothing else, so that reading them
says what they are."""


@dataclass(frozen=True)
class Pairing:
    """Folders of images and label maps, and how their names differ: what `pair_folders` takes."""

    images: Path
    labels: Path
    instances: Path | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    instance_suffix: str = ""


def pair_folders(
    images: Path,
    labels: Path,
    instances: Path | None = None,
    image_suffix: str = "",
    label_suffix: str = "",
    instance_suffix: str = "",
    label_endings: tuple[str, ...] = LABELS,
) -> list[Frame]:
    """Frames whose image and label map have the same path below their folders, but for suffix and extension.

    An image without a label map is a frame, and so is a label map without an image: the path where the other
    file should be stands in the frame, and reading it says that it is not there.

    Parameters
    ----------
    images, labels, instances
        Folders; searched with all folders below them. They need not exist.
    image_suffix, label_suffix, instance_suffix
        What the names end in beyond what they share: before the extension (`_L`) or with it (`_L.png`).
    label_endings
        Extensions of label maps, in any case.

    Returns
    -------
    Sorted by name.

    Raises
    ------
    AdaprepError
        Two images, or two label maps, would belong to the same frame.
    """
    image_ends, label_ends = endings(image_suffix, IMAGES), endings(label_suffix, label_endings)
    mask_ends = endings(instance_suffix, LABELS)
    found, drawn = find_keys(images, image_ends, True), find_keys(labels, label_ends, True)
    masks = find_keys(instances, mask_ends, True) if instances else {}
    for folder, others in ((labels, drawn), (instances, masks)):
        if folder and images in (folder, *folder.parents):
            taken = {folder / name for name in others.values()}
            found = {key: name for key, name in found.items() if images / name not in taken}
    _add_unreadable(found, images, image_suffix, drawn, {*drawn.values()} if images == labels else set())
    _add_unreadable(drawn, labels, label_suffix, found, {*found.values()} if images == labels else set())
    usual = Counter(name[len(key) :] for key, name in found.items()).most_common(1)
    image_end = usual[0][0] if usual else image_ends[0]
    return [
        Frame(
            key,
            images / found.get(key, key + image_end),
            labels / drawn.get(key, key + label_ends[0]),
            instances / masks.get(key, key + mask_ends[0]) if instances else None,
        )
        for key in sorted(found.keys() | drawn.keys())
    ]


def _add_unreadable(
    files: dict[str, str], folder: Path, suffix: str, others: dict[str, str], taken: set[str]
) -> None:
    """Where a frame lacks a file, take one of its name with an ending that is not read, if there is one."""
    missing = others.keys() - files.keys()
    if not missing or suffix.lower().endswith((*IMAGES, *OTHERS)):
        return
    for name in sorted(walk(folder)):
        stem, ending = os.path.splitext(name)
        key = stem.removesuffix(suffix)
        known = ending.lower() in (*IMAGES, *OTHERS) and stem.endswith(suffix)
        if known and key in missing and name not in taken:
            files.setdefault(key, name)


def suffix_hint(frames: Iterable[Frame], images: Path, labels: Path) -> str:
    """What to add to the description if label maps are named as their images and something more, or none.

    Of frames none of which has both files: "" where no suffix pairs any.
    """
    keys = {"image": set[str](), "label": set[str]()}
    for frame in frames:
        kind = "image" if exists(frame.image) else "label"
        keys[kind].add(frame.name)
    longer: Counter[tuple[str, str]] = Counter()
    for kind, other, folder in (("label", "image", labels), ("image", "label", images)):
        for key in keys[kind]:
            ends = [key[i:] for i in range(1, len(key)) if key[:i] in keys[other] and "/" not in key[i:]]
            longer.update((kind, end) for end in ends[-1:])
        if longer:
            (kind, end), count = longer.most_common(1)[0]
            files = f"{count} file{'s' if count > 1 else ''}"
            return f"{files} in {folder} end{'' if count > 1 else 's'} in {end}: add {kind}_suffix: {end}"
    return ""


def what_is_there(folder: Path, known: tuple[str, ...]) -> list[str]:
    """A line for messages if a folder holds files, but none with a known ending."""
    counts = Counter(os.path.splitext(name)[1] for name in walk(folder))
    if not counts or any(end.lower() in known for end in counts):
        return []
    some = ", ".join(f"{end or 'no ending'} ({count})" for end, count in counts.most_common(8))
    return [f"({folder} holds files with other endings: {some}; known are {', '.join(known)})"]


def endings(suffix: str, extensions: tuple[str, ...]) -> tuple[str, ...]:
    """What names may end in: a suffix that has an extension, or a suffix with each extension."""
    return (suffix,) if suffix.lower().endswith(extensions) else tuple(suffix + end for end in extensions)
