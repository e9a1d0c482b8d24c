"""What `adaprep check` says of images that viewers turn, and of those of more than 8 bits."""

from __future__ import annotations

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


@dataclass(frozen=True)
class PhotoCounts:
    """How many images are so."""

    turned: int = 0  # by viewers
    shown: int = 0  # of these, read so
    clear: int = 0  # of these, with a label map that fits only one way
    fitting: int = 0  # of the clear ones, read as shown
    deep: int = 0

    @classmethod
    def of(cls, facts: PhotoFacts) -> PhotoCounts:
        """Of one image."""
        if facts.orientation == 1:
            return cls(deep=int(facts.deep))
        shown, clear = facts.shown, facts.clear
        return cls(1, int(shown), int(clear), int(shown and clear), int(facts.deep))

    def __add__(self, other: PhotoCounts) -> PhotoCounts:
        return PhotoCounts(
            self.turned + other.turned,
            self.shown + other.shown,
            self.clear + other.clear,
            self.fitting + other.fitting,
            self.deep + other.deep,
        )


def sentences(dataset: Dataset, counts: PhotoCounts) -> list[str]:
    """What to say of all images of a split."""
    return [*_about_turned(dataset, counts), *_about_deep(dataset, counts.deep)]


def _about_turned(dataset: Dataset, counts: PhotoCounts) -> list[str]:
    if not counts.turned:
        return []
    said = (
        f"{_count(counts.turned)} turned by viewers (EXIF orientation): {counts.shown} read as shown, "
        f"{counts.turned - counts.shown} as stored (images_are: {dataset.images_are})"
    )
    if dataset.images_are == "auto":
        stored = counts.clear - counts.fitting
        said += f"; by their size, label maps lie as shown for {counts.fitting} and as stored for {stored}"
        if unclear := counts.turned - counts.clear:
            said += f"; {unclear} fit either way: look at them, and set images_are if they lie wrong"
    return [said]


def _about_deep(dataset: Dataset, deep: int) -> list[str]:
    if not deep:
        return []
    if dataset.image_range is None:
        how = "the whole range, 0 to 65535 where the file states no other, becomes 0 to 255"
        return [f"{_count(deep, 'have')} more than 8 bits: {how}; image_range states another"]
    low, high = dataset.image_range
    return [f"{_count(deep, 'have')} more than 8 bits: {low:g} to {high:g} becomes 0 to 255 (image_range)"]


def _count(number: int, verb: str = "are") -> str:
    one = {"are": "is", "have": "has"}[verb]
    return f"1 image {one}" if number == 1 else f"{number} images {verb}"
