"""What a data set is: frames on disk, and a class table that says what the numbers mean."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.limits import listed, short
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.storage import as_path

VOID = 255
"""Train id of pixels that count for nothing."""

UNKNOWN = 254
"""What the lookup table gives for a raw id that the class table does not name."""


BACKGROUND = frozenset(
    ("background", "_background_", "bg", "other", "others", "none", "unlabeled", "unlabelled")
)
"""Names of classes that stand for everything else, in any case; neutral in pictures, unless targets."""


@dataclass(frozen=True)
class LabelClass:
    """One row of a class table."""

    id: int  # as stored in the label maps
    name: str
    train_id: int = VOID  # 0 .. classes-1, or VOID
    target: bool = False  # its boundaries attract sample points
    color: tuple[int, int, int] = (0, 0, 0)  # for pictures

    @property
    def is_background(self) -> bool:
        """Whether it stands for everything else."""
        return not self.target and self.name.strip().casefold() in BACKGROUND


@dataclass(frozen=True)
class ClassTable:
    """All ids a data set's label maps may hold. Several ids may share a train id (ApolloScape's groups)."""

    classes: tuple[LabelClass, ...]

    def __post_init__(self) -> None:
        if twice := sorted(i for i, times in Counter(c.id for c in self.classes).items() if times > 1):
            raise AdaprepError(f"class table names these ids twice: {listed(twice)}")
        if bad := [c.id for c in self.classes if not 0 <= c.id <= 65535]:
            raise AdaprepError(f"class ids must lie in 0..65535, got {listed(bad)}")
        used = sorted({c.train_id for c in self.classes} - {VOID})
        if used != list(range(len(used))) or len(used) >= UNKNOWN:
            raise AdaprepError(
                f"train ids must be 0, 1, 2, ... without a gap (void is {VOID}), got {listed(used)}"
            )
        targets: dict[int, bool] = {}
        for c in self.classes:
            if c.train_id != VOID and targets.setdefault(c.train_id, c.target) != c.target:
                raise AdaprepError(f"train id {c.train_id} is a target under one id and not under another")

    @cached_property
    def lut(self) -> NDArray[np.uint8]:
        """(65536,) raw id -> train id; VOID for void classes, UNKNOWN for ids the table does not name."""
        table = np.full(65536, UNKNOWN, np.uint8)
        for c in self.classes:
            table[c.id] = c.train_id
        return table

    @cached_property
    def train_classes(self) -> tuple[LabelClass, ...]:
        """The first row of each train id, in their order, with its name, colour and raw id."""
        first: dict[int, LabelClass] = {}
        for c in self.classes:
            if c.train_id != VOID:
                first.setdefault(c.train_id, c)
        return tuple(first[i] for i in sorted(first))

    @property
    def names(self) -> tuple[str, ...]:
        """Names by train id."""
        return tuple(c.name for c in self.train_classes)

    @property
    def targets(self) -> tuple[int, ...]:
        """Train ids of the target classes, ascending."""
        return tuple(i for i, c in enumerate(self.train_classes) if c.target)

    @property
    def colors(self) -> NDArray[np.uint8]:
        """(256, 3) colour by train id; void is black."""
        table = np.zeros((256, 3), np.uint8)
        for i, c in enumerate(self.train_classes):
            table[i] = c.color
        return table

    def with_targets(self, names: Iterable[str]) -> ClassTable:
        """The same table with exactly these classes (by name) as targets.

        Raises
        ------
        AdaprepError
            A name is not in the table, or is a void class; the message lists the names there are.
        """
        known = set(self.names)
        wanted = {n if n in known else n.strip() for n in names}
        if unknown := sorted(wanted - known):
            raise AdaprepError(
                f"no class named {listed(map(short, unknown))} to make a target of; "
                f"the classes are: {printable(listed(self.names))}"
            )
        ids = {i for i, n in enumerate(self.names) if n in wanted}
        return ClassTable(tuple(replace(c, target=c.train_id in ids) for c in self.classes))

    def describe(self) -> list[list[Any]]:
        """Rows [id, name, train id] as plain data, for attributes; targets are named beside them."""
        return [[c.id, c.name, c.train_id] for c in self.classes]


@dataclass(frozen=True)
class Frame:
    """One annotated image. Paths need not exist: the readers say so when they do not."""

    name: str  # unique within the split, relative, with '/' (an image is found by any unambiguous part of it)
    image: Path
    label: Path
    instance: Path | None = None


class Row(NamedTuple):
    """A frame as texts: paths relative to the data set's root where they lie in it, "" for no instances."""

    name: str
    image: str
    label: str
    instance: str


@dataclass(frozen=True, order=True)
class Moment:
    """When and where a frame was filmed, in a data set that is made of videos."""

    sequence: str  # what was filmed in one go
    camera: str  # where several film a sequence at once; else empty
    number: int  # of the frame, in order of time


class Dataset(ABC):
    """A data set on disk, split by split.

    Subclasses state what they are as data, list their frames, and override the readers only where the
    files are not plain images.

    Parameters
    ----------
    root
        The folder that the archives were unpacked into; or a folder of an object store, or in an archive
        (`pipeline.storage.as_path`).
    """

    name: str  # as given to --dataset
    title: str
    splits: tuple[str, ...]
    training_splits: tuple[str, ...] = ("train",)
    archives: str  # which archives go where, for the error when nothing is found
    license: str = ""
    folder: str | None = None  # in the usual places, where that is not its name
    near: int = 300  # numbers of two frames of a sequence that show much the same are no further apart
    door: str | None = None  # package.module:factory, where code of the user's own made it
    environment: str | None = None  # a variable that other tools of this data set read its root from
    table: ClassTable
    labels_are: str = "ids"  # how label maps are stored: see formats
    images_are: str = "stored"  # or "shown", as viewers turn them by an orientation tag, or "auto"
    shown_if_unclear: bool = False
    image_range: tuple[float, float] | None = None  # of images of more than 8 bits: what becomes 0 and 255

    def __init__(self, root: Path) -> None:
        self.root = as_path(root).absolute()  # workspaces store it and are used from other folders
        self.classes: ClassTable = self.table

    @property
    def spelling(self) -> str:
        """As ``--dataset`` takes it: a name, a YAML file, or the user's own code."""
        return self.door or str(getattr(self, "source", self.name))

    @abstractmethod
    def frames(self, split: str) -> list[Frame]:
        """Every frame of a split, sorted by name, annotated or not: a missing file shows when it is read.

        Raises
        ------
        AdaprepError
            Unknown split, or nothing found: says which folders and patterns were looked for.
        """

    def rows(self, split: str) -> Iterator[Row]:
        """The same frames as texts; data sets that can be large make them without a list of all frames.

        Raises
        ------
        AdaprepError
            As `frames`.
        """
        root = str(self.root) + os.sep
        for frame in self.frames(split):
            paths = (frame.image, frame.label, frame.instance or "")
            yield Row(frame.name, *(str(path).removeprefix(root) for path in paths))

    def label_is_one_file(self) -> bool:
        """Whether `label_files` are the frame's `label` alone, so that nobody needs to ask of each frame."""
        return type(self).label_files is Dataset.label_files

    def label_files(self, frame: Frame) -> tuple[Path, ...]:
        """The files that the label map is made of; some may be absent."""
        return (frame.label,)

    def has_labels(self, frame: Frame) -> bool:
        """Whether there is something to read the label map from."""
        from pipeline.datasets.files import exists

        return any(map(exists, self.label_files(frame)))

    def label_bytes(self, frame: Frame) -> bytes:
        """Everything that the label map is made of: equal bytes mean equal maps. Raises FileError.

        Of most formats the content of the label file; `decode_labels` makes the map of it, so that ids, size
        and fingerprint are of the same bytes.
        """
        from pipeline.datasets.files import read_bytes

        return read_bytes(frame.label)

    def read_labels(self, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """(H, W) raw class ids. Raises FileError."""
        return self.decode_labels(self.label_bytes(frame), frame)

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        """`read_labels` of what `label_bytes` gave."""
        from pipeline.datasets import readers

        return readers.decode_ids(data, frame.label)

    def label_strips(self, data: bytes, frame: Frame) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
        """`decode_labels` a strip of rows after another, (N, W) each; ask `strips_of` for them.

        A strip is gone once the next one is asked for. Raises FileError, at the strip in which the damage is.
        A class that overrides `decode_labels` has one strip, the whole map, unless it states that in
        `decoded_in_strips` beside strips of its own.
        """
        from pipeline.datasets import readers

        yield from readers.id_strips(data, frame.label)

    decoded_in_strips: ClassVar[Any] = decode_labels  # what `label_strips` does the same as

    def label_size(self, frame: Frame) -> tuple[int, int]:
        """(H, W) of the label map, from its header alone where it has one. Raises FileError."""
        from pipeline.datasets import readers

        return readers.label_size(frame.label)

    def is_shown(self, frame: Frame) -> bool:
        """Whether the image is read as viewers show it: turned as its orientation tag says.

        By `images_are`; `auto` means whichever has the label map's size, and where both have, as
        `shown_if_unclear` says. An image without such a tag is the same either way.
        """
        from pipeline.datasets import readers

        if self.images_are == "stored":
            return False
        try:
            return self._follows(frame, *readers.size_and_orientation(frame.image))
        except FileError:  # told where the file itself is read
            return False

    def _follows(self, frame: Frame, size: tuple[int, int], tag: int) -> bool:
        """`is_shown` of an image of this size (H, W) as stored, and this orientation tag."""
        if self.images_are == "stored" or tag == 1:
            return False
        if self.images_are == "shown":
            return True
        try:
            labels = self.label_size(frame)
        except FileError:  # told where the file itself is read
            return self.shown_if_unclear
        if tag < 5 or size[0] == size[1]:
            return self.shown_if_unclear
        return labels == size[::-1]

    def image_size(self, frame: Frame) -> tuple[int, int]:
        """(H, W) of the image as it is read, from its header. Raises FileError."""
        from pipeline.datasets import readers

        if self.images_are == "stored":
            return readers.image_size(frame.image)
        size, tag = readers.size_and_orientation(frame.image)
        return size[::-1] if tag > 4 and self._follows(frame, size, tag) else size

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W, 3) RGB. Raises FileError."""
        from pipeline.datasets import pictures, readers
        from pipeline.datasets.files import read_bytes

        data = read_bytes(frame.image)
        pixels = readers.decode_rgb(data, frame.image, self.image_range)
        if self.images_are == "stored":
            return pixels
        tag, (height, width, _) = readers.orientation_of(data, frame.image), pixels.shape
        return pictures.upright(pixels, tag) if self._follows(frame, (height, width), tag) else pixels

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) 0 = no object, else a number unique within the image; None: no instance annotation."""
        return None

    def doubts(self, frame: Frame) -> list[str]:
        """What may be wrong with a label map that can be read: a sentence each. Raises FileError."""
        return []

    def moment(self, frame: Frame) -> Moment | None:
        """When a frame was filmed; None where the data set does not say, or is no video."""
        return None

    def notes(self, split: str) -> list[str]:
        """Known defects of this split's annotation, and what was decided about it: a sentence each."""
        return []

    def settings(self) -> dict[str, Any]:
        """What else than the files and the class table shapes the label maps (plain data, for the stores)."""
        return {}

    def reopening(self) -> dict[str, Any]:
        """The settings that open this data set again, beside its name and root."""
        return self.settings()

    def check_split(self, split: str) -> None:
        """Raise AdaprepError unless the data set has this split."""
        if split not in self.splits:
            raise AdaprepError(f"{self.name} has no split {short(split)}; it has: {listed(self.splits)}")

    def nothing_found(self, looked_for: Sequence[str]) -> AdaprepError:
        """The error for an empty or absent data set: where it looked, for what, and what goes where."""
        places = "\n".join(f"  {place}" for place in looked_for)
        return AdaprepError(
            f"{self.name}: no images found. Looked for\n{places}\n{self.archives}\n"
            f"If the data are elsewhere, give --root FOLDER."
        )


def strips_of(
    dataset: Dataset, data: bytes, frame: Frame
) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
    """`Dataset.label_strips`, or the whole map where a derived class decodes in its own way."""
    if getattr(dataset.decode_labels, "__func__", None) is type(dataset).decoded_in_strips:
        yield from dataset.label_strips(data, frame)
    else:
        yield dataset.decode_labels(data, frame)
