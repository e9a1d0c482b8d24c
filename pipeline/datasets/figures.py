"""The figures of a Supervisely annotation: polygons and bitmaps, each as a mask of its own.

An annotation is a few bytes that may claim anything: sizes, corners and compressed data are bounded before
memory or time is spent on them.
"""

from __future__ import annotations

import base64
import binascii
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import png
from pipeline.datasets.drawing import (
    MAX_WORK,
    Budget,
    Corners,
    Placed,
    corners,
    is_ring,
    placed,
    polygon,
    rectangle,
    ring,
)
from pipeline.datasets.files import read_bytes
from pipeline.datasets.json_files import is_whole, parse_json
from pipeline.datasets.limits import MAX_PIXELS, MAX_SIDE, listed, short
from pipeline.errors import FileError
from pipeline.names import printable

BACKGROUND, PERSON, NEUTRAL = range(3)
TITLES = {"person_poly": PERSON, "person_bmp": PERSON, "neutral": NEUTRAL}

MAX_BYTES = 32 * 2**20
"""Of an annotation file."""

SMALL_BITMAP = 2**16
"""Pixels that a bitmap may have whatever the image's size; larger ones may have four times the image's."""

BITMAP = Path("bitmap")
"""Stands for a file where a PNG is none."""


def read_objects(path: Path) -> Iterator[tuple[int, int, Placed]]:
    """Number (from 1), class id and placed mask of every object, in the order of the annotation.

    Raises
    ------
    FileError
        The annotation is malformed; the message names the file and, counting from 0, the object.
    """
    yield from objects_of(load(path), path)


def objects_of(
    annotation: dict[str, Any], path: Path, titles: Mapping[str, int] = TITLES
) -> Iterator[tuple[int, int, Placed]]:
    """`read_objects` of an annotation in memory.

    Parameters
    ----------
    path
        For the errors.
    titles
        Class ids by title. Those of Supervisely Person, which are the default, have no rectangles.
    """
    size = size_of(path, annotation)
    budget = Budget(MAX_WORK)
    for index, item in enumerate(annotation["objects"]):
        try:
            label, where = _class(item, titles), _mask(item, size, budget, titles is not TITLES)
        except ValueError as error:
            raise FileError(printable(f"{path}: object {index}: {error}")) from error
        yield index + 1, label, where


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
    annotation = parse_json(data, path, MAX_BYTES)
    if not isinstance(annotation, dict) or not isinstance(annotation.get("objects"), list):
        raise FileError(printable(f"{path}: not a Supervisely annotation: it has no list 'objects'"))
    return annotation


def size_of(path: Path, annotation: dict[str, Any]) -> tuple[int, int]:
    """(H, W) of the annotated image. Raises FileError."""
    match annotation.get("size"):
        case {"height": height, "width": width} if is_whole(height) and is_whole(width):
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


def _class(item: Any, titles: Mapping[str, int]) -> int:
    title = item.get("classTitle") if isinstance(item, dict) else None
    if not isinstance(title, str) or title not in titles:
        raise ValueError(f"unknown class title {short(title)}; the classes are {listed(titles)}")
    return titles[title]


def _mask(item: dict[str, Any], size: tuple[int, int], budget: Budget, boxes: bool) -> Placed:
    points, bitmap = item.get("points"), item.get("bitmap")
    exterior = points.get("exterior") if isinstance(points, dict) else None
    geometry = item.get("geometryType") or ("bitmap" if bitmap else "polygon" if exterior else None)
    if geometry == "polygon":
        if not isinstance(points, dict) or not exterior:
            raise ValueError("a polygon without points.exterior")
        interior = points.get("interior") or []
        if not isinstance(interior, list):
            raise ValueError("points.interior must be a list of rings")
        return polygon(_corners(exterior), [_corners(hole) for hole in interior], size, budget)
    if geometry == "bitmap":
        return _bitmap(bitmap, size, budget)
    if geometry == "rectangle" and boxes:
        found = rectangle(np.rint(corners(exterior, "a rectangle")).astype(np.int64), size)
        budget.take(found[2].size)
        return found
    known = "'polygon' or 'bitmap'" + " or 'rectangle'" * boxes
    raise ValueError(f"unknown geometry {short(geometry)}; it must be {known}")


def _corners(points: Any) -> Corners:
    """(n, 2) corners [column, row], rounded; a ring may be nested in a list of its own."""
    if isinstance(points, list) and len(points) == 1 and is_ring(points[0]):
        points = points[0]
    return np.rint(ring(points)).astype(np.int64)


def _bitmap(bitmap: Any, size: tuple[int, int], budget: Budget) -> Placed:
    match bitmap:
        case {"data": str(data), "origin": [x, y]} if is_whole(x) and is_whole(y):
            mask = decode_bitmap(data, max(SMALL_BITMAP, 4 * size[0] * size[1]))
        case _:
            raise ValueError("a bitmap must have 'data' (text) and 'origin' ([x, y])")
    budget.take(mask.size)
    return placed(mask, x, y, size)
