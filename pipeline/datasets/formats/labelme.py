"""Labelme: a JSON file per image, with polygons and other shapes, drawn as Labelme itself draws them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Frame
from pipeline.datasets.drawing import (
    MAX_WORK,
    Budget,
    Corners,
    Placed,
    circle_box,
    corners,
    ellipse,
    placed,
    polygon,
    rectangle,
    ring,
)
from pipeline.datasets.formats.shapes import (
    SIZE_MARK,
    Shape,
    ShapeFormat,
    check_size,
    fail,
    with_size,
    without_size,
)
from pipeline.datasets.json_files import is_whole, parse_json, said_size
from pipeline.datasets.limits import short
from pipeline.errors import FileError
from pipeline.names import printable

MAX_BYTES = 128 * 2**20
"""Of a file, which may hold the image as text."""

SMALL_MASK = 2**16
"""Pixels that a mask may have whatever the image's size; larger ones may have four times the image's."""

AREAS = ("polygon", "rectangle", "circle", "mask")


class Labelme(ShapeFormat):
    """Corners are cut to whole pixels, and pixels on an outline belong to the shape, as in Labelme.

    Shapes of one `group_id` and label are one object. Lines and points, which Labelme itself draws ten pixels
    wide, have no area: they are refused.
    """

    turns_images = True
    endings: ClassVar[tuple[str, ...]] = (".json",)

    def read(self, frame: Frame) -> bytes:
        data = super().read(frame)
        content = _parse(data, frame)
        if content.get("imageHeight") is None or content.get("imageWidth") is None:
            return with_size(data, frame, self.stored)
        return data

    def shapes(self, data: bytes, frame: Frame) -> tuple[tuple[int, int], Iterator[Shape]]:
        if SIZE_MARK in data:
            data, size = without_size(data)
            content = _parse(data, frame)
        else:
            content = _parse(data, frame)
            said = said_size(content.get("imageHeight"), content.get("imageWidth"), frame.label)
            size = check_size(said, frame)
        return size, self._drawn(content["shapes"], size, frame)

    def _drawn(self, items: list[Any], size: tuple[int, int], frame: Frame) -> Iterator[Shape]:
        budget = Budget(MAX_WORK)
        groups: dict[Any, int] = {}
        for index, item in enumerate(items):
            try:
                if not isinstance(item, dict):
                    raise ValueError(f"must have a label and points, found {short(item)}")
                number = self.id_of(item.get("label"))
                where, outlines = _draw(item, size, budget)
                group = item.get("group_id")
                key = (number, group) if is_whole(group) else index
            except ValueError as error:
                fail(frame, f"shape {index}", error)
            yield Shape(number, groups.setdefault(key, index + 1), where, outlines)


def _parse(data: bytes, frame: Frame) -> dict[str, Any]:
    content = parse_json(data, frame.label, MAX_BYTES)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise FileError(printable(f"{frame.label}: not a Labelme annotation: it has no list 'shapes'"))
    return content


def _draw(
    item: dict[str, Any], size: tuple[int, int], budget: Budget
) -> tuple[Placed, tuple[NDArray[np.float64], ...]]:
    kind, points = item.get("shape_type") or "polygon", item.get("points")
    if kind == "polygon":
        outline = ring(points)
        return polygon(_cut(outline), (), size, budget), (outline,)
    if kind not in AREAS:
        what = f"a {kind} has no area" if isinstance(kind, str) else f"unknown shape_type {short(kind)}"
        raise ValueError(f"{what}; shapes must be one of {', '.join(AREAS)}")
    two = corners(points, f"the corners of a {kind}")
    if len(two) != 2:
        raise ValueError(f"a {kind} must have two points, found {len(two)}")
    if kind == "circle":
        return ellipse(_cut(circle_box(*two.tolist())), size, budget), ()
    if kind == "mask":
        return _mask(item.get("mask"), two, size, budget), ()
    found = rectangle(_cut(two), size)
    budget.take(found[2].size)
    return found, ()


def _mask(data: Any, box: NDArray[np.float64], size: tuple[int, int], budget: Budget) -> Placed:
    from pipeline.datasets.figures import decode_bitmap

    if not isinstance(data, str):
        raise ValueError("a mask must have 'mask' (the text of a PNG)")
    mask = decode_bitmap(data, max(SMALL_MASK, 4 * size[0] * size[1]))
    budget.take(mask.size)
    column, row = _cut(box).min(axis=0).tolist()
    return placed(mask, column, row, size)


def _cut(points: NDArray[np.float64]) -> Corners:
    """Toward zero, as Pillow does it for Labelme."""
    return np.trunc(points).astype(np.int64)
