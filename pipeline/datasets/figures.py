"""The figures of a Supervisely annotation: polygons and bitmaps, each as a mask of its own."""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.files import read_bytes
from pipeline.errors import FileError

BACKGROUND, PERSON, NEUTRAL = range(3)
TITLES = {"person_poly": PERSON, "person_bmp": PERSON, "neutral": NEUTRAL}

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
    for index, item in enumerate(annotation["objects"]):
        try:
            yield index + 1, _class(item), _mask(item, size)
        except ValueError as error:
            raise FileError(f"{path}: object {index}: {error}") from error


def decode_bitmap(data: str) -> NDArray[np.bool_]:
    """Mask of a bitmap figure.

    Parameters
    ----------
    data
        Base 64 of a PNG, with or without zlib around it. What is opaque belongs to the object; in an image
        without transparency, what is not 0.

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
    try:
        png = zlib.decompress(packed)
    except zlib.error:
        png = packed
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            if image.has_transparency_data:
                return np.asarray(image.convert("RGBA"))[..., 3] > 0
            values = np.asarray(image)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"its data are not a PNG ({error})") from error
    if values.ndim != 2:
        raise ValueError(f"its PNG must have transparency or a single channel, and is {image.mode}")
    return values > 0


def load(path: Path) -> dict[str, Any]:
    """The annotation in a file, which has a list of objects. Raises FileError."""
    return parse(read_bytes(path), path)


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """`load` of a file already in memory; `path` is for the errors."""
    try:
        annotation = json.loads(data)
    except ValueError as error:
        raise FileError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(annotation, dict) or not isinstance(annotation.get("objects"), list):
        raise FileError(f"{path}: not a Supervisely annotation: it has no list 'objects'")
    return annotation


def size_of(path: Path, annotation: dict[str, Any]) -> tuple[int, int]:
    """(H, W) of the annotated image. Raises FileError."""
    match annotation.get("size"):
        case {"height": int(height), "width": int(width)} if height > 0 and width > 0:
            return height, width
    raise FileError(f"{path}: 'size' must give the image's height and width, got {annotation.get('size')!r}")


def _class(item: Any) -> int:
    title = item.get("classTitle") if isinstance(item, dict) else None
    if not isinstance(title, str) or title not in TITLES:
        raise ValueError(f"unknown class title {title!r}; the classes are {', '.join(TITLES)}")
    return TITLES[title]


def _mask(item: dict[str, Any], size: tuple[int, int]) -> Placed:
    points, bitmap = item.get("points"), item.get("bitmap")
    exterior = points.get("exterior") if isinstance(points, dict) else None
    geometry = item.get("geometryType") or ("bitmap" if bitmap else "polygon" if exterior else None)
    if geometry == "polygon":
        if not isinstance(points, dict) or not exterior:
            raise ValueError("a polygon without points.exterior")
        interior = points.get("interior") or []
        if not isinstance(interior, list):
            raise ValueError("points.interior must be a list of rings")
        return _polygon(exterior, interior, size)
    if geometry == "bitmap":
        return _bitmap(bitmap, size)
    raise ValueError(f"unknown geometry {geometry!r}; it must be 'polygon' or 'bitmap'")


def _polygon(exterior: Any, interior: list[Any], size: tuple[int, int]) -> Placed:
    outer = _ring(exterior)
    holes = [_ring(ring) for ring in interior]
    height, width = size
    left, top = np.clip(outer.min(0), 0, (width, height)).tolist()
    right, bottom = np.clip(outer.max(0) + 1, (left, top), (width, height)).tolist()
    if right == left or bottom == top:
        return top, left, np.zeros((bottom - top, right - left), np.bool_)
    canvas = Image.new("L", (right - left, bottom - top))
    draw = ImageDraw.Draw(canvas)
    for ring, value in [(outer, 1), *((hole, 0) for hole in holes)]:
        draw.polygon((ring - (left, top)).ravel().tolist(), fill=value, outline=value)
    return top, left, np.asarray(canvas) > 0


def _ring(points: Any) -> NDArray[np.int64]:
    """(n, 2) corners [column, row], rounded; a ring may be nested in a list of its own."""
    try:
        ring = np.asarray(points, np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"a polygon ring must be a list of [x, y] points ({error})") from error
    if ring.ndim == 3 and len(ring) == 1:
        ring = ring[0]
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3 or not np.isfinite(ring).all():
        raise ValueError(
            f"a polygon ring must be three or more [x, y] points, got an array of shape {ring.shape}"
        )
    return np.rint(ring).astype(np.int64)


def _bitmap(bitmap: Any, size: tuple[int, int]) -> Placed:
    match bitmap:
        case {"data": str(data), "origin": [int(x), int(y)]}:
            mask = decode_bitmap(data)
        case _:
            raise ValueError("a bitmap must have 'data' (text) and 'origin' ([x, y])")
    top, left = min(max(y, 0), size[0]), min(max(x, 0), size[1])
    return top, left, mask[top - y : max(size[0] - y, 0), left - x : max(size[1] - x, 0)]
