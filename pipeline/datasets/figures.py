"""The figures of a Supervisely annotation: polygons and bitmaps, each as a mask of its own.

An annotation is a few bytes that may claim anything: sizes, corners and compressed data are bounded before
memory or time is spent on them.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets import png
from pipeline.datasets.files import read_bytes
from pipeline.datasets.limits import MAX_PIXELS, MAX_SIDE, check_bytes, short
from pipeline.errors import FileError
from pipeline.names import printable

BACKGROUND, PERSON, NEUTRAL = range(3)
TITLES = {"person_poly": PERSON, "person_bmp": PERSON, "neutral": NEUTRAL}

MAX_BYTES = 32 * 2**20
"""Of an annotation file."""

MAX_CORNER = 2**20
"""Pixels that a corner may lie from the image's first pixel: Pillow draws in single precision."""

MAX_WORK = 2**33
"""Steps that drawing all objects of an annotation may take: minutes."""

SMALL_BITMAP = 2**16
"""Pixels that a bitmap may have whatever the image's size; larger ones may have four times the image's."""

BITMAP = Path("bitmap")
"""Stands for a file where a PNG is none."""

Placed = tuple[int, int, NDArray[np.bool_]]
"""First row, first column and mask of an object, inside the image."""


def read_objects(path: Path) -> Iterator[tuple[int, int, Placed]]:
    """Number (from 1), class id and placed mask of every object, in the order of the annotation.

    Raises
    ------
    FileError
        The annotation is malformed; the message names the file and, counting from 0, the object.
    """
    yield from objects_of(load(path), path)


def objects_of(annotation: dict[str, Any], path: Path) -> Iterator[tuple[int, int, Placed]]:
    """`read_objects` of an annotation in memory; `path` is for the errors."""
    size = size_of(path, annotation)
    budget = _Budget(MAX_WORK)
    for index, item in enumerate(annotation["objects"]):
        try:
            label, placed = _class(item), _mask(item, size, budget)
        except ValueError as error:
            raise FileError(printable(f"{path}: object {index}: {error}")) from error
        yield index + 1, label, placed


@dataclass
class _Budget:
    """Steps of drawing that are left."""

    left: int

    def take(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise ValueError("this object and those before it are too much to draw in one annotation")


def decode_bitmap(data: str, max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """Mask of a bitmap figure.

    Parameters
    ----------
    data
        Base 64 of a PNG, with or without zlib around it. What is opaque belongs to the object; in an image
        without transparency, what is not 0.
    max_pixels
        The PNG may have; it is refused by its header.

    Returns
    -------
    (h, w) mask.

    Raises
    ------
    ValueError
        The text is no such thing: the message says what it is.
    """
    try:
        packed = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"its data are not base 64 ({error})") from error
    content = _inflated(packed, 8 * max_pixels + 2**20)
    try:
        height, width, *_ = png.parse_header(content, BITMAP)
        if height * width > max_pixels:
            raise ValueError(f"its PNG is {width} x {height}, far larger than the image")
        _check_complete(content)
        return _opaque(content)
    except FileError as error:
        raise ValueError(f"its data are not a PNG ({error})") from error


def _inflated(packed: bytes, limit: int) -> bytes:
    """What zlib holds, or the bytes themselves where they are no zlib stream."""
    if png.is_png(packed):
        return packed
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(packed, limit)
    except zlib.error:
        return packed
    if stream.unconsumed_tail:
        raise ValueError(f"its data inflate to more than {limit} bytes, far more than the image has")
    if not stream.eof:
        raise ValueError("its data are not a PNG (truncated)")
    return content


def _check_complete(content: bytes) -> None:
    """Refuse pixels that are missing, which Pillow fills with zeros. Raises FileError."""
    header = png.parse_header(content, BITMAP)
    if not (header.interlaced and (header.channels > 1 or header.bit_depth == 16)):
        png.decode(content, BITMAP)


def _opaque(content: bytes) -> NDArray[np.bool_]:
    """Pixels of a PNG that belong to the object. Raises ValueError, FileError."""
    try:
        with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
            mode = image.mode
            if image.has_transparency_data:
                values = np.asarray(image.convert("RGBA"))[..., 3]
            else:
                values = np.asarray(image)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoder raises OSError, SyntaxError, ValueError, struct.error, ...
        raise ValueError(f"its data are not a PNG ({error})") from error
    if values.ndim != 2:
        raise ValueError(f"its PNG must have transparency or a single channel, and is {mode}")
    return np.asarray(values > 0)


def load(path: Path) -> dict[str, Any]:
    """The annotation in a file, which has a list of objects. Raises FileError."""
    return parse(read_bytes(path, MAX_BYTES + 1), path)


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """`load` of a file already in memory; `path` is for the errors."""
    check_bytes(data, path, MAX_BYTES)
    try:
        annotation = json.loads(data, object_pairs_hook=_without_repetition, parse_constant=_no_number)
    except RecursionError as error:
        raise FileError(printable(f"{path}: not a JSON file: nested too deep")) from error
    except ValueError as error:
        raise FileError(printable(f"{path}: not a JSON file: {error}")) from error
    if not isinstance(annotation, dict) or not isinstance(annotation.get("objects"), list):
        raise FileError(printable(f"{path}: not a Supervisely annotation: it has no list 'objects'"))
    return annotation


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {short(twice)} is given twice")
    return found


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number")


def size_of(path: Path, annotation: dict[str, Any]) -> tuple[int, int]:
    """(H, W) of the annotated image. Raises FileError."""
    match annotation.get("size"):
        case {"height": height, "width": width} if _is_whole(height) and _is_whole(width):
            if min(height, width) > 0 and max(height, width) <= MAX_SIDE and height * width <= MAX_PIXELS:
                return height, width
            if min(height, width) > 0:
                raise FileError(
                    printable(
                        f"{path}: 'size' says {short(width)} x {short(height)}, no size of an image: "
                        f"a side may have {MAX_SIDE} pixels, all of it {MAX_PIXELS}"
                    )
                )
    raise FileError(
        printable(
            f"{path}: 'size' must give the image's height and width, got {short(annotation.get('size'))}"
        )
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _class(item: Any) -> int:
    title = item.get("classTitle") if isinstance(item, dict) else None
    if not isinstance(title, str) or title not in TITLES:
        raise ValueError(f"unknown class title {short(title)}; the classes are {', '.join(TITLES)}")
    return TITLES[title]


def _mask(item: dict[str, Any], size: tuple[int, int], budget: _Budget) -> Placed:
    points, bitmap = item.get("points"), item.get("bitmap")
    exterior = points.get("exterior") if isinstance(points, dict) else None
    geometry = item.get("geometryType") or ("bitmap" if bitmap else "polygon" if exterior else None)
    if geometry == "polygon":
        if not isinstance(points, dict) or not exterior:
            raise ValueError("a polygon without points.exterior")
        interior = points.get("interior") or []
        if not isinstance(interior, list):
            raise ValueError("points.interior must be a list of rings")
        return _polygon(exterior, interior, size, budget)
    if geometry == "bitmap":
        return _bitmap(bitmap, size, budget)
    raise ValueError(f"unknown geometry {short(geometry)}; it must be 'polygon' or 'bitmap'")


def _polygon(exterior: Any, interior: list[Any], size: tuple[int, int], budget: _Budget) -> Placed:
    outer = _ring(exterior)
    holes = [_ring(ring) for ring in interior]
    height, width = size
    left, top = np.clip(outer.min(0), 0, (width, height)).tolist()
    right, bottom = np.clip(outer.max(0) + 1, (left, top), (width, height)).tolist()
    if right == left or bottom == top:
        return top, left, np.zeros((bottom - top, right - left), np.bool_)
    budget.take((bottom - top) * (right - left) + sum(_steps(ring, bottom - top) for ring in (outer, *holes)))
    canvas = Image.new("L", (right - left, bottom - top))
    draw = ImageDraw.Draw(canvas)
    for ring, value in [(outer, 1), *((hole, 0) for hole in holes)]:
        draw.polygon((ring - (left, top)).ravel().tolist(), fill=value, outline=value)
    return top, left, np.asarray(canvas) > 0


def _steps(ring: NDArray[np.int64], rows: int) -> int:
    """Of drawing a ring: Pillow looks at every edge in every row, and walks along the outline."""
    outline = np.abs(np.diff(ring, axis=0, append=ring[:1])).max(axis=1)
    return len(ring) * rows + int(outline.sum())


def _ring(points: Any) -> NDArray[np.int64]:
    """(n, 2) corners [column, row], rounded; a ring may be nested in a list of its own."""
    if isinstance(points, list) and len(points) == 1 and _is_ring(points[0]):
        points = points[0]
    if not _is_ring(points):
        raise ValueError(f"a polygon ring must be a list of [x, y] points, found {short(points)}")
    if len(points) < 3:
        raise ValueError(
            f"a polygon ring must be three or more [x, y] points, got an array of shape {(len(points), 2)}"
        )
    far = next((p for p in points if not all(-MAX_CORNER <= v <= MAX_CORNER for v in p)), None)
    if far is not None:
        raise ValueError(f"the corner {short(far)} lies more than {MAX_CORNER} pixels outside the image")
    return np.rint(np.asarray(points, np.float64)).astype(np.int64)


def _is_ring(points: Any) -> bool:
    """Whether it is a list of pairs of numbers."""
    return isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and type(p[0]) in (int, float) and type(p[1]) in (int, float)
        for p in points
    )


def _bitmap(bitmap: Any, size: tuple[int, int], budget: _Budget) -> Placed:
    match bitmap:
        case {"data": str(data), "origin": [x, y]} if _is_whole(x) and _is_whole(y):
            mask = decode_bitmap(data, max(SMALL_BITMAP, 4 * size[0] * size[1]))
        case _:
            raise ValueError("a bitmap must have 'data' (text) and 'origin' ([x, y])")
    budget.take(mask.size)
    top, left = min(max(y, 0), size[0]), min(max(x, 0), size[1])
    return top, left, mask[max(top - y, 0) : max(size[0] - y, 0), max(left - x, 0) : max(size[1] - x, 0)]
