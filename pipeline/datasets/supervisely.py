"""Supervisely Person: people cut out as polygons and bitmaps, in the project format of 2018 and of today."""

from __future__ import annotations

import base64
import binascii
import io
import json
import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass
from pipeline.errors import AdaprepError, FileError

BACKGROUND, PERSON, NEUTRAL = range(3)
TITLES = {"person_poly": PERSON, "person_bmp": PERSON, "neutral": NEUTRAL}
IMAGES = (".png", ".jpg", ".jpeg")
VALIDATION_SHARE = 571 / 5711
"""The paper's random split keeps 571 of the 5711 images for validation."""

Placed = tuple[int, int, NDArray[np.bool_]]
"""First row, first column and mask of an object, inside the image."""


class Supervisely(Dataset):
    """Supervisely Person, a project folder with `meta.json` and `ds*/{img,ann}`.

    Every object is drawn in a mask of its own, so that a hole clears nothing but the object it belongs to; a
    person stays a person where a neutral object overlaps. Polygon corners are pixel indices [column, row];
    the pixels on the outline belong to what it encloses: to the object on its outer ring, to the hole on an
    inner one.

    Parameters
    ----------
    root
        The project folder, or the folder that holds it.
    neutral
        What the pixels of `neutral` objects (0.05 % of all) count as: "ignore" (void), "background" (as in
        most public code) or "person".
    seed
        Chooses the images of the validation split. The project has no official split; like the paper's, this
        one is random, 571 of 5711.

    Raises
    ------
    AdaprepError
        `neutral` is none of the three.
    """

    name = "supervisely"
    title = "Supervisely Person"
    splits = ("train", "val", "all")
    training_splits = ("train", "all")
    archives = (
        "Unpack the exported project so that meta.json, ds1/img, ds1/ann (and so on to ds13) lie in ROOT."
    )
    license = "non-commercial: research, teaching, personal use"
    table = ClassTable(
        (
            LabelClass(BACKGROUND, "background", 0, color=(40, 44, 52)),
            LabelClass(PERSON, "person", 1, target=True, color=(220, 20, 60)),
            LabelClass(NEUTRAL, "neutral", VOID, color=(150, 150, 150)),
        )
    )

    def __init__(self, root: Path, neutral: str = "ignore", seed: int = 0) -> None:
        super().__init__(root)
        train_ids = {"ignore": VOID, "background": BACKGROUND, "person": PERSON}
        if neutral not in train_ids:
            raise AdaprepError(f"neutral must be one of {', '.join(train_ids)}, got {neutral!r}")
        self.neutral = neutral
        self.seed = seed
        last = replace(self.table.classes[NEUTRAL], train_id=train_ids[neutral], target=neutral == "person")
        self.classes = ClassTable((*self.table.classes[:NEUTRAL], last))

    def settings(self) -> dict[str, Any]:
        return {"neutral": self.neutral, "seed": self.seed}

    def frames(self, split: str) -> list[Frame]:
        self.check_split(split)
        frames = self._all_frames
        if not frames:
            raise self.nothing_found(
                [str(base / "ds*" / "img" / "*.{png,jpg,jpeg}") for base in self._bases()]
            )
        if split == "all":
            return list(frames)
        held_out = validation_indices(len(frames), self.seed)
        if not held_out:
            raise AdaprepError(f"{self.name}: a single image cannot be split; use --split all")
        return [f for i, f in enumerate(frames) if (i in held_out) == (split == "val")]

    def _bases(self) -> list[Path]:
        """Where a project may begin: at the root, or one folder further down."""
        below = sorted(p for p in self.root.iterdir() if p.is_dir()) if self.root.is_dir() else []
        return [self.root, *(p for p in below if (p / "meta.json").is_file())]

    @cached_property
    def _all_frames(self) -> list[Frame]:
        for base in self._bases():
            images = [p for p in base.glob("ds*/img/*") if p.suffix.lower() in IMAGES]
            if images:
                frames = [
                    Frame(p.relative_to(base).as_posix().replace("/img/", "/"), p, _annotation(p))
                    for p in images
                ]
                return sorted(frames, key=lambda frame: frame.name)
        return []

    def label_size(self, frame: Frame) -> tuple[int, int]:
        return _size(frame.label, _load(frame.label))

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        image = super().read_image(frame)
        _check_size(frame, self.label_size(frame), image.shape[:2])
        return image

    def read_labels(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W) 0 background, 1 person, 2 neutral. Raises FileError."""
        labels = np.zeros(self._checked_size(frame), np.uint8)
        for _, label, (row, col, mask) in sorted(_objects(frame.label), key=lambda o: o[1], reverse=True):
            labels[row : row + mask.shape[0], col : col + mask.shape[1]][mask] = label
        return labels

    def read_instances(self, frame: Frame) -> NDArray[np.int32]:
        """(H, W) 0, or the position (from 1) in the annotation of the person that was drawn last.

        Neutral objects have numbers only where `neutral` is "person". Raises FileError.
        """
        instances = np.zeros(self._checked_size(frame), np.int32)
        numbered = {c.id for c in self.classes.classes if c.train_id == PERSON}
        for number, label, (row, col, mask) in _objects(frame.label):
            if label in numbered:
                instances[row : row + mask.shape[0], col : col + mask.shape[1]][mask] = number
        return instances

    def _checked_size(self, frame: Frame) -> tuple[int, int]:
        """The annotation's size, once the image (where it is there) agrees."""
        from pipeline.datasets import readers

        size = self.label_size(frame)
        if frame.image.exists():
            _check_size(frame, size, readers.image_size(frame.image))
        return size


def validation_indices(count: int, seed: int) -> set[int]:
    """Which of `count` images in name order are for validation: at least one of two, none of one."""
    share = min(max(1, round(count * VALIDATION_SHARE)), count - 1)
    return set(np.random.default_rng(seed).permutation(count)[:share].tolist())


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


def _annotation(image: Path) -> Path:
    """`NAME.png.json` (today's exports) or, where only that is there, `NAME.json` (2018)."""
    folder = image.parent.parent / "ann"
    today, former = folder / f"{image.name}.json", folder / f"{image.stem}.json"
    return former if former.exists() and not today.exists() else today


def _load(path: Path) -> dict[str, Any]:
    try:
        annotation = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"{path}: cannot read the annotation: {error.strerror or error}") from error
    except ValueError as error:
        raise FileError(f"{path}: not a JSON file: {error}") from error
    if not isinstance(annotation, dict) or not isinstance(annotation.get("objects"), list):
        raise FileError(f"{path}: not a Supervisely annotation: it has no list 'objects'")
    return annotation


def _size(path: Path, annotation: dict[str, Any]) -> tuple[int, int]:
    match annotation.get("size"):
        case {"height": int(height), "width": int(width)} if height > 0 and width > 0:
            return height, width
    raise FileError(f"{path}: 'size' must give the image's height and width, got {annotation.get('size')!r}")


def _check_size(frame: Frame, annotated: tuple[int, int], found: tuple[int, ...]) -> None:
    if annotated == found:
        return
    turned = " Its sides are swapped: rotate the pixels as its EXIF orientation says." * (
        annotated == found[::-1]
    )
    raise FileError(
        f"{frame.image}: the image is {found[0]} rows x {found[1]} columns, "
        f"its annotation {frame.label.name} is for {annotated[0]} x {annotated[1]}.{turned}"
    )


def _objects(path: Path) -> Iterator[tuple[int, int, Placed]]:
    """Number (from 1), class id and placed mask of every object, in the order of the annotation."""
    annotation = _load(path)
    size = _size(path, annotation)
    for index, item in enumerate(annotation["objects"]):
        try:
            yield index + 1, _class(item), _mask(item, size)
        except ValueError as error:
            raise FileError(f"{path}: object {index}: {error}") from error


def _class(item: Any) -> int:
    title = item.get("classTitle") if isinstance(item, dict) else None
    if title not in TITLES:
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
