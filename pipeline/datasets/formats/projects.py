"""Projects of Supervisely with classes of any name: a JSON file per image, polygons and bitmaps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pipeline.datasets import figures
from pipeline.datasets.base import Frame
from pipeline.datasets.formats.shapes import Shape, ShapeFormat, check_size
from pipeline.datasets.pairs import IMAGES


class Project(ShapeFormat):
    """Annotations are called `NAME.png.json` or `NAME.json`; shapes are drawn as in Supervisely Person."""

    endings: ClassVar[tuple[str, ...]] = (
        *(f"{end}.json" for end in IMAGES),
        *(f"{end.upper()}.json" for end in IMAGES),
        ".json",
    )

    def shapes(self, data: bytes, frame: Frame) -> tuple[tuple[int, int], Iterator[Shape]]:
        annotation = figures.parse(data, frame.label)
        found = figures.objects_of(annotation, frame.label, self.meaning.names)
        size = check_size(figures.size_of(frame.label, annotation), frame)
        return size, (Shape(label, number, where) for number, label, where in found)
