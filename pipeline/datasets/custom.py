"""A data set of the user's own, described by a YAML file (docs/your-own-data.md)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame, Moment, Row
from pipeline.datasets.files import exists
from pipeline.datasets.formats.base import LabelFormat
from pipeline.datasets.limits import short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.datasets.missing import MissingFolder, no_place, with_hint
from pipeline.datasets.pairs import IMAGES, Pairing, pairs, suffix_hint, what_is_there
from pipeline.datasets.split_sources import POOL, Folders, ListFile, PoolPart
from pipeline.datasets.stems import choose_stems
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.storage import as_path, is_address, joined


class Custom(Dataset):
    """What a YAML file says.

    Parameters
    ----------
    path
        The YAML file.
    root
        Stands for the file's own `root`.
    text
        What the file held, where it is no longer there.

    Raises
    ------
    AdaprepError
        The file cannot be read or says something that cannot be; the message names every mistake
        with its line and key.
    """

    archives = "The folders and lists of each split stand in the YAML file, relative to its root."

    def __init__(self, path: Path, root: Path | None = None, text: str | None = None) -> None:
        from pipeline.datasets import described, formats
        from pipeline.datasets.yaml_nodes import read_text

        self.text = read_text(path) if text is None else text
        said = described.read(path, self.text)
        self.source = str(path.absolute())  # what opens this data set again
        self.name, self.title, self.license = said.name, said.title, said.license
        self.sources = said.sources
        self.splits = tuple(said.sources)
        self.training_splits = said.training_splits
        self.table = said.table
        self.labels_are = said.labels_are
        self.images_are, self.image_range = said.images_are, said.image_range
        self.format = formats.make(said.labels_are, said.meaning, said.images_are == "stored")
        self.shown_if_unclear = self.format.turns_images
        root = root or joined(path.absolute().parent, str(said.root))
        super().__init__(root if ".." not in root.parts or is_address(root) else _resolved(root))

    def settings(self) -> dict[str, Any]:
        """What shapes label maps and images beside files and class table, where it is not the usual."""
        said: dict[str, Any] = {}
        if self.labels_are != "ids":
            said = {"labels_are": self.labels_are, **self.format.settings()}
        if self.images_are != "auto":
            said["images_are"] = self.images_are
        if self.image_range is not None:
            said["image_range"] = list(self.image_range)
        return said

    def reopening(self) -> dict[str, Any]:
        return {}  # the file says it all

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        source = self.sources[split]
        if not isinstance(source, PoolPart):
            return self._paired(source, self._listed(source, split), split)
        frames = self._paired(source.pool, self._listed(source.pool, POOL), POOL)
        parts = source.division.split_of([frame.name for frame in frames])
        return [frame for frame in frames if parts.get(frame.name) in source.taken]

    def rows(self, split: str) -> Iterator[Row]:
        self.check_split(split)
        source = self.sources[split]
        plain = isinstance(source, Folders) and not (source.stems or source.skip_unpaired)
        if not plain or type(self.format).frames is not LabelFormat.frames:
            yield from super().rows(split)
        elif isinstance(source, Folders):
            yield from self._found(source, split)

    def _found(self, source: Folders, split: str) -> Iterator[Row]:
        """The rows of two folders whose files are paired by name, made as they are found."""
        self._check_folders(source, split)
        folders, root = source.under(self.root), str(self.root) + os.sep
        images, labels, instances = (
            str(folder / "x")[:-1].removeprefix(root) if folder else ""
            for folder in (folders.images, folders.labels, folders.instances)
        )
        paired, there = False, False
        for pair in pairs(folders, self.format.endings):
            there = True
            if pair.whole and not paired:
                frame = Frame(pair.key, folders.images / pair.image, folders.labels / pair.label)
                paired = self._is_paired(frame)
            instance = instances + pair.instance if folders.instances else ""
            yield Row(pair.key, images + pair.image, labels + pair.label, instance)
        if not (there and paired):
            self._listed(source, split)  # which says what is wrong

    def moment(self, frame: Frame) -> Moment | None:
        """By `together` of splits that are made here, and the last number in the frame's name."""
        numbers = re.findall(r"\d+", PurePosixPath(frame.name).name)
        divisions = [source.division for source in self.sources.values() if isinstance(source, PoolPart)]
        if not numbers or not divisions or not divisions[0].together:
            return None
        return Moment(divisions[0].group(frame.name), "", int(numbers[-1][-15:]))

    def notes(self, split: str) -> list[str]:
        source = self.sources[split]
        pool = source.pool if isinstance(source, PoolPart) else source
        if not pool.skip_unpaired:
            return []
        every = self._listed(pool, POOL if isinstance(source, PoolPart) else split)
        alone = [frame for frame in every if not self._is_paired(frame)]
        said = f"left out because the other half is missing (unpaired: skip): {len(alone)} of {len(every)}"
        return [f"{said}, such as {printable(alone[0].name)}"] if alone else []

    def _listed(self, source: Folders | ListFile, split: str) -> list[Frame]:
        """Every frame of a source, whether both of its files are there or not."""
        if isinstance(source, ListFile):
            return read_list(self.root / source.list, self.root)
        self._check_folders(source, split)
        folders = source.under(self.root)
        frames = self.format.frames(folders)
        if not frames:
            raise self.nothing_found(
                [
                    f"{folders.images}/**/*{source.image_suffix}.(jpg|png|...)",
                    f"{folders.labels}/**/*{source.label_suffix}{self.format.endings[0]}",
                    *what_is_there(folders.images, IMAGES),
                    *what_is_there(folders.labels, self.format.endings),
                ]
            )
        if source.stems:
            frames = choose_stems(self.root / source.stems, frames, folders, self.format)
        if not any(map(self._is_paired, frames)):
            self._check_suffixes(frames, folders, split)
        return frames

    def _paired(self, source: Folders | ListFile, frames: list[Frame], split: str) -> list[Frame]:
        """All of them, or those with both files where the others are to be skipped."""
        if not source.skip_unpaired:
            return frames
        chosen = [frame for frame in frames if self._is_paired(frame)]
        if not chosen:
            raise AdaprepError(
                f"{self.name}/{split}: not one of the {len(frames)} frames has both image and label map, "
                f"such as {printable(frames[0].name)}, and the others are to be skipped (unpaired: skip)"
            )
        return chosen

    def _is_paired(self, frame: Frame) -> bool:
        return exists(frame.image) and self.has_labels(frame)

    def _check_folders(self, source: Folders, split: str) -> None:
        """Raise MissingFolder that names every folder of a split that is not there."""
        folders = source.under(self.root)
        wanted = [("images", folders.images)]
        wanted += [("labels", place) for place in self.format.places(folders.labels)]
        wanted += [("instances", folders.instances)] if folders.instances else []
        prefix = split if split == POOL else f"splits.{split}"
        lines = [
            f"{self.source}: {prefix}.{key}: {no_place(path)}" for key, path in wanted if not path.exists()
        ]
        if lines:
            elsewhere = "If the data are elsewhere, give --root FOLDER."
            raise MissingFolder(printable("\n".join([*dict.fromkeys(lines), elsewhere])))

    def _check_suffixes(self, frames: list[Frame], folders: Pairing, split: str) -> None:
        """Raise AdaprepError if no frame has both files, and a suffix would pair some."""
        if hint := suffix_hint(frames, folders.images, folders.labels):
            raise AdaprepError(
                printable(f"{self.name}/{split}: no image has a label map of the same name. {hint}")
            )

    def label_is_one_file(self) -> bool:
        return type(self.format).files is LabelFormat.files

    def label_files(self, frame: Frame) -> tuple[Path, ...]:
        return self.format.files(frame)

    def label_bytes(self, frame: Frame) -> bytes:
        try:
            return self.format.read(frame)
        except FileError as error:
            hinted = with_hint(error, frame.label, self.format.endings)
            if hinted is error:
                raise  # itself: raised from itself it would forget what brought it about
            raise hinted from error

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8] | NDArray[np.uint16]:
        return self.format.decode(data, frame)

    def label_strips(self, data: bytes, frame: Frame) -> Iterator[NDArray[np.uint8] | NDArray[np.uint16]]:
        return self.format.strips(data, frame)

    decoded_in_strips = decode_labels

    def label_size(self, frame: Frame) -> tuple[int, int]:
        return self.format.size(frame)

    def doubts(self, frame: Frame) -> list[str]:
        return self.format.doubts(frame)

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) numbers of the objects, 0 for none; None where there are no objects. Raises FileError."""
        from pipeline.datasets import readers

        if frame.instance is None:
            return self.format.instances(frame)
        return readers.read_ids(frame.instance).astype(np.int32)


def read_list(path: Path, root: Path) -> list[Frame]:
    """Frames of a list: `image<TAB>label` or `image<TAB>label<TAB>instances` a line, relative to `root`.

    Where a line has no TAB, single blanks separate. Empty lines and lines that begin with # are skipped.

    Returns
    -------
    Sorted by name, which is the image's path without its extension.

    Raises
    ------
    AdaprepError
        The list cannot be read, is empty, or has a line with another number of fields, a field that names a
        folder, or the same name as an earlier one; the message names the line.
    """
    frames: dict[str, tuple[int, Frame]] = {}
    for number, line in read_lines(path):
        if line.lstrip(" \t").startswith("#"):
            continue
        fields = [field.strip(" \r") for field in line.split("\t" if "\t" in line else " ")]
        if len(fields) not in (2, 3) or not all(fields):
            raise line_error(
                path,
                number,
                f"must be image<TAB>label or image<TAB>label<TAB>instances, found {short(line)}",
            )
        if bad := next((field for field in fields if not names_file(field)), None):
            raise line_error(path, number, f"{short(bad)} is a folder, not a file")
        name = str(Path(fields[0]).with_suffix("")).lstrip("/")
        if name in frames:
            raise line_error(path, number, f"{short(name)} was listed before, in line {frames[name][0]}")
        image, label, *instance = (joined(root, field) for field in fields)
        frames[name] = (number, Frame(name, image, label, instance[0] if instance else None))
    if not frames:
        raise AdaprepError(printable(f"{path}: the list is empty"))
    return [frames[name][1] for name in sorted(frames)]


def _resolved(root: Path) -> Path:
    return as_path(os.path.realpath(root))
