"""COCO: one JSON file for all images of a split; polygons and run lengths, drawn as by pycocotools."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.drawing import MAX_WORK, Budget, Placed, paint
from pipeline.datasets.files import walk
from pipeline.datasets.formats import rle
from pipeline.datasets.formats.base import Raw
from pipeline.datasets.formats.coco_index import index_of, record_of
from pipeline.datasets.formats.shapes import Shape, ShapeFormat, check_size, fail
from pipeline.datasets.json_files import is_whole, parse_json, said_size
from pipeline.datasets.limits import listed, short
from pipeline.datasets.pairs import Pairing

MAX_BYTES = 64 * 2**20
"""Of what is said of one image."""


class Coco(ShapeFormat):
    """The path of a label map is that of the JSON file and, below it, the image's name.

    Annotations have no order: where they overlap, the one with fewer pixels lies over the other, and of
    two of a size the later. Regions of a crowd are void.
    """

    endings: ClassVar[tuple[str, ...]] = (".json",)

    def frames(self, folders: Pairing) -> list[Frame]:
        """One per image that the file describes, wherever below the folder its file lies."""
        there = set(walk(folders.images))
        ends: dict[str, str] = {}
        for path in sorted(there):
            ends.setdefault(PurePosixPath(path).name, path)
        frames = []
        for name in index_of(folders.labels).images:
            image = name if name in there else ends.get(PurePosixPath(name).name, name)
            frames.append(
                Frame(str(PurePosixPath(name).with_suffix("")), folders.images / image, folders.labels / name)
            )
        frames.sort(key=lambda frame: frame.name)
        return _with_suffix_where_alike(frames)

    def files(self, frame: Frame) -> tuple[Path, ...]:
        return (_place(frame)[0],)

    def read(self, frame: Frame) -> bytes:
        return record_of(*_place(frame))

    def shapes(self, data: bytes, frame: Frame) -> tuple[tuple[int, int], Iterator[Shape]]:
        content = parse_json(data, frame.label, MAX_BYTES)
        image = content["image"]
        size = check_size(said_size(image.get("height"), image.get("width"), frame.label), frame)
        return size, self._drawn(content["annotations"], size, frame)

    def _drawn(self, items: list[Any], size: tuple[int, int], frame: Frame) -> Iterator[Shape]:
        budget = Budget(MAX_WORK)
        for index, item in enumerate(items):
            try:
                number = self._category(item.get("category_id"))
                crowd = item.get("iscrowd") in (1, True)
                where, outlines = _draw(item.get("segmentation"), size, budget)
            except ValueError as error:
                name = f"annotation {short(item.get('id', index))}"
                fail(frame, name, error)
            void = self.meaning.void
            yield Shape(void if crowd and void is not None else number, index + 1, where, outlines)

    def _category(self, number: Any) -> int:
        if not is_whole(number) or number not in self.meaning.numbers:
            known = listed(sorted(self.meaning.numbers))
            raise ValueError(f"no class has the id {short(number)}, its category_id; the ids are: {known}")
        found: int = number
        return found

    def decode(self, data: bytes, frame: Frame) -> Raw:
        size, shapes = self.shapes(data, frame)
        ids = self.meaning.blank(size)
        for shape, where in _by_size(shapes, size):
            paint(ids, where, shape.id)
        return ids

    def instances(self, frame: Frame) -> NDArray[np.int32]:
        size, shapes = self.shapes(self.read(frame), frame)
        numbers = np.zeros(size, np.int32)
        for shape, where in _by_size(shapes, size):
            paint(numbers, where, shape.number if shape.id != self.meaning.void else 0)
        return numbers


def _by_size(shapes: Iterator[Shape], size: tuple[int, int]) -> Iterator[tuple[Shape, Placed]]:
    """Every object with those of its pixels that no smaller one drawn before has."""
    smallest = np.full(size, np.iinfo(np.int32).max, np.int32)
    for shape in shapes:
        row, col, mask = shape.where
        part = smallest[row : row + mask.shape[0], col : col + mask.shape[1]]
        area = int(mask.sum())
        mine = mask & (part >= area)
        part[mine] = area
        yield shape, (row, col, mine)


def _draw(
    segmentation: Any, size: tuple[int, int], budget: Budget
) -> tuple[Placed, tuple[NDArray[np.float64], ...]]:
    match segmentation:
        case {"counts": counts, "size": said}:
            return rle.runs(counts, said, size, budget), ()
        case [_, *_]:
            rings = [_ring(part) for part in segmentation]
            return rle.union([rle.polygon(ring, size, budget) for ring in rings]), tuple(rings)
    raise ValueError(
        f"its segmentation must be a list of polygons or run lengths, found {short(segmentation)}: "
        f"annotations for detection have only a box"
    )


def _ring(values: Any) -> NDArray[np.float64]:
    """(n, 2) corners [x, y] of a list x, y, x, y, ..."""
    if not isinstance(values, list) or not all(type(v) in (int, float) for v in values):
        raise ValueError(f"a polygon must be a list of numbers x, y, x, y, ..., found {short(values)}")
    if len(values) < 6 or len(values) % 2:
        raise ValueError(f"a polygon must be three or more pairs x, y, found {len(values)} numbers")
    if far := next((v for v in values if not -rle.MAX_CORNER <= v <= rle.MAX_CORNER), None):
        raise ValueError(f"the corner {short(far)} lies more than {rle.MAX_CORNER} pixels outside the image")
    return np.array(values, np.float64).reshape(-1, 2)


def _place(frame: Frame) -> tuple[Path, str]:
    """The JSON file, and the image's name in it."""
    file = next((p for p in frame.label.parents if p.suffix.lower() == ".json"), frame.label)
    return file, frame.label.relative_to(file).as_posix()


def _with_suffix_where_alike(frames: list[Frame]) -> list[Frame]:
    """Names are without extension, but of images whose names differ in nothing else."""
    names = [frame.name for frame in frames]
    twice = {a for a, b in pairwise(names) if a == b}
    return [
        Frame(_place(frame)[1] if frame.name in twice else frame.name, frame.image, frame.label)
        for frame in frames
    ]
