"""What `adaprep check` says of images that viewers turn, and of those of more than 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.datasets import readers
from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import FileError


@dataclass(frozen=True)
class PhotoFacts:
    """Of one image, from its header."""

    orientation: int = 1  # how viewers turn it, 1 to 8
    shown: bool = False  # whether it is read so
    clear: bool = True  # whether its label map fits only that way
    deep: bool = False  # more than 8 bits per sample


def facts_of(dataset: Dataset, frame: Frame, labels: tuple[int, ...]) -> PhotoFacts:
    """Of the image of a frame whose label map has the size `labels` (H, W)."""
    try:
        deep = readers.depth(frame.image) > 8
        orientation = readers.orientation(frame.image)
        if orientation == 1:
            return PhotoFacts(deep=deep)
        height, width = readers.image_size(frame.image)
    except FileError:  # told where the file itself is checked
        return PhotoFacts()
    clear = orientation > 4 and height != width and labels in ((height, width), (width, height))
    return PhotoFacts(orientation, dataset.is_shown(frame), clear, deep)


def sentences(dataset: Dataset, facts: Sequence[PhotoFacts]) -> list[str]:
    """What to say of all images of a split."""
    return [*_about_turned(dataset, [f for f in facts if f.orientation > 1]), *_about_deep(dataset, facts)]


def _about_turned(dataset: Dataset, turned: Sequence[PhotoFacts]) -> list[str]:
    if not turned:
        return []
    shown, clear = sum(f.shown for f in turned), [f for f in turned if f.clear]
    said = (
        f"{_count(len(turned))} turned by viewers (EXIF orientation): {shown} read as shown, "
        f"{len(turned) - shown} as stored (images_are: {dataset.images_are})"
    )
    if dataset.images_are == "auto":
        fitting = sum(f.shown for f in clear)
        said += f"; by their size, {fitting} label maps lie as shown and {len(clear) - fitting} as stored"
        if unclear := len(turned) - len(clear):
            said += f"; {unclear} fit either way: look at them, and set images_are if they lie wrong"
    return [said]


def _about_deep(dataset: Dataset, facts: Sequence[PhotoFacts]) -> list[str]:
    if not (deep := sum(f.deep for f in facts)):
        return []
    if dataset.image_range is None:
        how = "the whole range, 0 to 65535 where the file states no other, becomes 0 to 255"
        return [f"{_count(deep, 'have')} more than 8 bits: {how}; image_range states another"]
    low, high = dataset.image_range
    return [f"{_count(deep, 'have')} more than 8 bits: {low:g} to {high:g} becomes 0 to 255 (image_range)"]


def _count(number: int, verb: str = "are") -> str:
    one = {"are": "is", "have": "has"}[verb]
    return f"1 image {one}" if number == 1 else f"{number} images {verb}"
