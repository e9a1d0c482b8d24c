"""A data set of the user's own, described by a YAML file (docs/your-own-data.md)."""

from __future__ import annotations

import colorsys
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.datasets.limits import short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.datasets.pairs import IMAGES, LABELS, pair_folders, what_is_there
from pipeline.errors import AdaprepError
from pipeline.names import check_component, printable, safe_component


@dataclass(frozen=True)
class Folders:
    """A split whose frames are paired by name."""

    images: str
    labels: str
    instances: str | None = None
    image_suffix: str = ""
    label_suffix: str = ""
    instance_suffix: str = ""


@dataclass(frozen=True)
class ListFile:
    """A split whose frames stand in a list."""

    list: str


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
        from pipeline.datasets import described
        from pipeline.datasets.yaml_nodes import read_text

        self.text = read_text(path) if text is None else text
        said = described.read(path, self.text)
        self.source = str(path.absolute())  # what opens this data set again
        self.name, self.title, self.license = said.name, said.title, said.license
        self.sources = said.sources
        self.splits = tuple(said.sources)
        self.training_splits = said.training_splits
        self.table = said.table
        root = root or path.absolute().parent / said.root
        super().__init__(Path(os.path.realpath(root)) if ".." in root.parts else root)

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        source = self.sources[split]
        if isinstance(source, ListFile):
            return read_list(self.root / source.list, self.root)
        images, labels = self.root / source.images, self.root / source.labels
        frames = pair_folders(
            images,
            labels,
            self.root / source.instances if source.instances else None,
            source.image_suffix,
            source.label_suffix,
            source.instance_suffix,
        )
        if not frames:
            raise self.nothing_found(
                [
                    f"{images}/**/*{source.image_suffix}.(jpg|png|...)",
                    f"{labels}/**/*{source.label_suffix}.png",
                    *what_is_there(images, IMAGES),
                    *what_is_there(labels, LABELS),
                ]
            )
        return frames

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) as stored, 0 = no object; None without instances. Raises FileError."""
        from pipeline.datasets import readers

        return None if frame.instance is None else readers.read_ids(frame.instance).astype(np.int32)


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
        image, label, *instance = (root / field for field in fields)
        frames[name] = (number, Frame(name, image, label, instance[0] if instance else None))
    if not frames:
        raise AdaprepError(printable(f"{path}: the list is empty"))
    return [frames[name][1] for name in sorted(frames)]


def name_of(path: Path) -> str:
    """A name that can name a folder, made of the file's."""
    name = re.sub(r"[^\w.-]+", "-", path.stem)
    try:
        return check_component("name of a data set", name)
    except AdaprepError:
        return safe_component(path.stem)


def palette(count: int) -> list[tuple[int, int, int]]:
    """Colours that differ: hues evenly around the circle, neighbours in different lightness."""
    colors = []
    for i in range(count):
        rgb = colorsys.hls_to_rgb(i / max(count, 1), (0.45, 0.65, 0.3)[i % 3], 0.75)
        red, green, blue = (round(255 * channel) for channel in rgb)
        colors.append((red, green, blue))
    return colors
