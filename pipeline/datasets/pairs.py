"""Pairing a folder of images with a folder of label maps by what their names have in common."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pipeline.datasets.base import Frame
from pipeline.datasets.files import find_keys

IMAGES = (".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", ".bmp", ".tif", ".tiff", ".webp")
LABELS = (".png", ".PNG", ".bmp", ".tif", ".tiff")


def pair_folders(
    images: Path,
    labels: Path,
    instances: Path | None = None,
    image_suffix: str = "",
    label_suffix: str = "",
    instance_suffix: str = "",
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

    Returns
    -------
    Sorted by name.

    Raises
    ------
    AdaprepError
        Two images, or two label maps, would belong to the same frame.
    """
    image_ends, label_ends = _endings(image_suffix, IMAGES), _endings(label_suffix, LABELS)
    mask_ends = _endings(instance_suffix, LABELS)
    found, drawn = find_keys(images, image_ends), find_keys(labels, label_ends)
    masks = find_keys(instances, mask_ends) if instances else {}
    for folder, others in ((labels, drawn), (instances, masks)):
        if folder and images in (folder, *folder.parents):
            taken = {folder / name for name in others.values()}
            found = {key: name for key, name in found.items() if images / name not in taken}
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


def _endings(suffix: str, extensions: tuple[str, ...]) -> tuple[str, ...]:
    return (suffix,) if suffix.endswith(extensions) else tuple(suffix + end for end in extensions)
