"""ApolloScape scene parsing, in the layout of its archives and in that of its README."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass, Moment, Row
from pipeline.datasets.files import exists, find_keys
from pipeline.datasets.limits import short
from pipeline.datasets.lists import line_error, names_file, read_lines
from pipeline.datasets.ordering import ordered
from pipeline.errors import AdaprepError

COLOR, LABEL = "ColorImage", "Label"
IMAGE_END, LABEL_END, INSTANCE_END = ".jpg", "_bin.png", "_instanceIds.png"
ROAD = re.compile(r"road\d+_(ins|seg)")
LIST = re.compile(r"(road\d+_(?:ins|seg))_(train|val|test)\.lst")
HELD_OUT = "road04"
WITHOUT_SKY = ("road02", "road03", "road04")
INSTANCES = range(33_000, 41_000)
"""Instance maps hold class id * 1000 + number; 255 is background, 65535 a group."""

GROUP = 128
"""A group of objects has the id of its class plus this."""


def _class_table() -> ClassTable:
    learnt = (
        LabelClass(17, "sky", 0, color=(0x46, 0x82, 0xB4)),
        LabelClass(33, "car", 1, True, (0x00, 0x00, 0x8E)),
        LabelClass(34, "motorbicycle", 2, True, (0x00, 0x00, 0xE6)),
        LabelClass(35, "bicycle", 3, True, (0x77, 0x0B, 0x20)),
        LabelClass(36, "person", 4, True, (0x00, 0x80, 0xC0)),
        LabelClass(37, "rider", 5, True, (0x80, 0x40, 0x80)),
        LabelClass(38, "truck", 6, True, (0x80, 0x00, 0xC0)),
        LabelClass(39, "bus", 7, True, (0xC0, 0x00, 0x40)),
        LabelClass(40, "tricycle", 8, True, (0x80, 0x80, 0xC0)),
        LabelClass(49, "road", 9, color=(0xC0, 0x80, 0xC0)),
        LabelClass(50, "sidewalk", 10, color=(0xC0, 0x80, 0x40)),
        LabelClass(65, "traffic cone", 11, color=(0x00, 0x00, 0x40)),
        LabelClass(66, "road pile", 12, color=(0x00, 0x00, 0xC0)),
        LabelClass(67, "fence", 13, color=(0x40, 0x40, 0x80)),
        LabelClass(81, "traffic light", 14, color=(0xC0, 0x40, 0x80)),
        LabelClass(82, "pole", 15, color=(0xC0, 0x80, 0x80)),
        LabelClass(83, "traffic sign", 16, color=(0x00, 0x40, 0x40)),
        LabelClass(84, "wall", 17, color=(0xC0, 0xC0, 0x80)),
        LabelClass(85, "dustbin", 18, color=(0x40, 0x00, 0xC0)),
        LabelClass(86, "billboard", 19, color=(0xC0, 0x00, 0xC0)),
        LabelClass(97, "building", 20, color=(0xC0, 0x00, 0x80)),
        LabelClass(113, "vegetation", 21, color=(0x80, 0x80, 0x40)),
    )
    groups = (
        LabelClass(c.id + GROUP, f"{c.name} group", c.train_id, True, c.color) for c in learnt if c.target
    )
    void = (
        LabelClass(0, "others", VOID),
        LabelClass(1, "rover", VOID),
        LabelClass(98, "bridge", VOID, color=(0x80, 0x80, 0x00)),
        LabelClass(99, "tunnel", VOID, color=(0x80, 0x00, 0x00)),
        LabelClass(100, "overpass", VOID, color=(0x40, 0x80, 0x40)),
        LabelClass(255, "unlabeled", VOID),
    )
    return ClassTable((*learnt, *groups, *void))


class ApolloScape(Dataset):
    """ApolloScape: `road01_ins/ColorImage/Record012/Camera 5/X.jpg` with `road01_ins/Label/.../X_bin.png`.

    `ColorImage/road01_ins/...` and `Label/road01_ins/...`, as its README has it, are read too.

    The lists of the archive `image_lists` (`road01_ins_train.lst` and so on, in the root or a folder in it)
    make the splits. Without any list, road 4 is the validation split and the other roads the training split;
    if there is no other road than one, all of it is for training. Roads called `_seg` have no annotation of
    the target classes: they are used only if there is nothing else.
    """

    name = "apolloscape"
    title = "ApolloScape scene parsing"
    splits = ("train", "val", "test")
    archives = (
        "Unpack the archives road01_ins to road04_ins (apolloscape.auto, scene parsing) in ROOT, so that "
        "ROOT/road01_ins/ColorImage and ROOT/road01_ins/Label exist, and put the lists of "
        "image_lists.tar.gz (road01_ins_train.lst, ...) in ROOT or in ROOT/ImageLists."
    )
    license = "educational use only"
    near = 10_000  # milliseconds
    table = _class_table()

    def frames(self, split: str) -> list[Frame]:
        return [Frame(row.name, *(self.root / path for path in row[1:])) for row in self.rows(split)]

    def rows(self, split: str) -> Iterator[Row]:
        self.check_split(split)
        lists = self._lists()
        rows = self._listed(split, lists) if lists else self._lying_there(split)
        for text in ordered("\0".join(row) for row in rows):
            yield Row(*text.split("\0"))

    def moment(self, frame: Frame) -> Moment | None:
        """By the folders ``ROAD/RECORD/CAMERA`` and a name such as ``170927_064448178_Camera_6``."""
        path = PurePosixPath(frame.name)
        match = re.match(r"(\d{6})_(\d{9})", path.name)
        if match is None or len(path.parts) < 4:
            return None
        clock = match[2]  # hours, minutes, seconds, milliseconds
        minutes = 60 * (24 * int(match[1]) + int(clock[:2])) + int(clock[2:4])
        sequence, camera = "/".join(path.parts[:-2]), path.parts[-2]
        return Moment(sequence, camera, 60_000 * minutes + int(clock[4:]))

    def read_instances(self, frame: Frame) -> NDArray[np.int32] | None:
        """(H, W) class id * 1000 + number; 0 outside objects and in groups. Raises FileError.

        None if the frame has no file of instances.
        """
        from pipeline.datasets import readers

        if frame.instance is None or not exists(frame.instance):
            return None
        values = readers.read_ids(frame.instance).astype(np.int32)
        values[(values < INSTANCES.start) | (values >= INSTANCES.stop)] = 0
        return values

    def notes(self, split: str) -> list[str]:
        lists = self._lists()
        there = self._roads()
        used = list(lists.get(split, {})) if lists else self._split_roads(split, there)
        said = []
        if blind := [road for road in used if road.startswith(WITHOUT_SKY)]:
            said.append(f"sky is not annotated on {', '.join(blind)}: its pixels there are 255 (void)")
        if any(road.endswith("_seg") for road in used):
            said.append("_seg roads lack all classes with ids below 49, every target class among them")
        if not lists:
            said.append(
                f"no lists (road01_ins_{split}.lst, ...) found: road 4 is taken for validation, "
                f"the others for training; {split} is {', '.join(used) or 'empty'}"
            )
        elif unused := sorted(set(there) - {road for roads in lists.values() for road in roads}):
            said.append(f"in no list and so not used: {', '.join(unused)}")
        if split == "test":
            said.append("the label maps of the test lists are all 255 (void): no boundaries, no metric")
        return said

    def _lists(self) -> dict[str, dict[str, Path]]:
        """Split to road to list; a list in the root goes before one of the same name in a folder."""
        found = [(m, p) for p in self._list_files() if (m := LIST.fullmatch(p.name))]
        roads = set(_annotated(m[1] for m, _ in found))
        lists: dict[str, dict[str, Path]] = {}
        for match, path in found:
            if match[1] in roads:
                lists.setdefault(match[2], {}).setdefault(match[1], path)
        return lists

    def _list_files(self) -> list[Path]:
        return sorted(self.root.glob("*.lst")) + sorted(self.root.glob("*/*.lst"))

    def _listed(self, split: str, lists: dict[str, dict[str, Path]]) -> Iterator[Row]:
        if split not in lists:
            raise AdaprepError(
                f"{self.name}: no list road*_{split}.lst in {self.root} or a folder in it; "
                f"there are lists for: {', '.join(sorted(lists))}"
            )
        for path in lists[split].values():
            yield from self._read_list(path)

    def _read_list(self, path: Path) -> list[Row]:
        """Rows of one list: `image<TAB>label` a line, relative to the root."""
        rows = []
        for number, line in read_lines(path):
            row = [field.strip(" ").lstrip("/") for field in line.split("\t")][:2]
            if not row[0].endswith(IMAGE_END) or COLOR not in row[0].split("/"):
                wanted = f"path of an image in {COLOR} that ends in {IMAGE_END}"
                raise line_error(path, number, f"{short(row[0])} is no {wanted}")
            if not names_file(row[-1]):
                raise line_error(path, number, f"{short(row[-1])} is no path of a label map")
            rows.append(row)
        arrange = self._arrangement(rows)
        return [_row(*map(arrange, row[:2])) for row in rows]

    def _arrangement(self, rows: list[list[str]]) -> Callable[[str], str]:
        """How to turn listed paths into paths on this disk, as the first line tells."""
        for row in rows[:1]:
            for arrange in (_as_it_is, _type_first, _no_spaces):
                if any((self.root / arrange(path)).parent.is_dir() for path in row[:2]):
                    return arrange
        return _as_it_is

    def _roads(self) -> list[str]:
        """The roads that lie there, `_seg` only if there are no others."""
        places = (self.root, self.root / COLOR, self.root / LABEL)
        names = {p.name for place in places for p in place.glob("road*") if p.is_dir()}
        return sorted(_annotated(name for name in names if ROAD.fullmatch(name)))

    def _split_roads(self, split: str, roads: list[str]) -> list[str]:
        held_out = [r for r in roads if r.startswith(HELD_OUT)] if len(roads) > 1 else []
        return {"train": [r for r in roads if r not in held_out], "val": held_out}.get(split, [])

    def _lying_there(self, split: str) -> list[Row]:
        there = self._roads()
        roads = self._split_roads(split, there)
        if there and not roads:
            raise AdaprepError(
                f"{self.name}: no {split} frames. There are no lists (road01_ins_{split}.lst, ...) in "
                f"{self.root}, and without lists road 4 is for validation if there are other roads, and all "
                f"the rest for training; there are: {', '.join(there)}"
            )
        rows = [row for road in roads for row in self._road_rows(road)]
        if not rows:
            raise self.nothing_found(
                [
                    f"{self.root}/road*_ins_{split}.lst",
                    f"{self.root}/*/road*_ins_{split}.lst",
                    f"{self.root}/road*_ins/{COLOR}/Record*/Camera */*{IMAGE_END}",
                    f"{self.root}/road*_ins/{LABEL}/Record*/Camera */*{LABEL_END}",
                    f"{self.root}/{COLOR}/road*_ins/Record*/Camera */*{IMAGE_END}",
                ]
            )
        return rows

    def _road_rows(self, road: str) -> list[Row]:
        for color, label in ((f"{road}/{COLOR}", f"{road}/{LABEL}"), (f"{COLOR}/{road}", f"{LABEL}/{road}")):
            images = find_keys(self.root / color, (IMAGE_END,))
            labels = find_keys(self.root / label, (LABEL_END,))
            if images or labels:
                keys = images.keys() | labels.keys()
                return [_row(f"{color}/{key}{IMAGE_END}") for key in keys]
        return []


def _row(image: str, label: str | None = None) -> Row:
    """The row of an image path relative to the root, and of its label map's if that is known."""
    parts = image.removesuffix(IMAGE_END).split("/")
    label = label or "/".join(LABEL if part == COLOR else part for part in parts) + LABEL_END
    instance = label.removesuffix(LABEL_END) + INSTANCE_END
    name = "/".join(part for part in parts if part != COLOR)
    return Row(name, *map(_normal, (image, label, instance)))


def _normal(path: str) -> str:
    """A relative path as `Path` writes it."""
    return path if "//" not in path and "./" not in path else str(PurePosixPath(path))


def _annotated(roads: Iterable[str]) -> list[str]:
    """Those with instances and targets; all of them if there are no such roads."""
    all_roads = list(roads)
    return [road for road in all_roads if road.endswith("_ins")] or all_roads


def _as_it_is(path: str) -> str:
    return path


def _type_first(path: str) -> str:
    """`road01_ins/ColorImage/...` to `ColorImage/road01_ins/...`, and the other way."""
    first, *rest = path.split("/")
    return "/".join((*rest[:1], first, *rest[1:]))


def _no_spaces(path: str) -> str:
    """Many unpack `Camera 5` as `Camera_5`."""
    return path.replace(" ", "_")
