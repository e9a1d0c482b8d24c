"""Supervisely Person: people cut out as polygons and bitmaps, in the project format of 2018 and of today."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import VOID, ClassTable, Dataset, Frame, LabelClass
from pipeline.datasets.figures import BACKGROUND, NEUTRAL, PERSON, load, objects_of, parse, size_of
from pipeline.datasets.files import exists, walk
from pipeline.errors import AdaprepError, FileError
from pipeline.storage import is_file

IMAGES = (".png", ".jpg", ".jpeg")
VALIDATION_SHARE = 571 / 5711
"""The paper's random split keeps 571 of the 5711 images for validation."""


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
        `neutral` is none of the three, or `seed` is negative.
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
        if seed < 0:
            raise AdaprepError(f"seed must not be negative, got {seed}")
        self.neutral = neutral
        self.seed = seed
        last = replace(self.table.classes[NEUTRAL], train_id=train_ids[neutral], target=neutral == "person")
        self.classes = ClassTable((*self.table.classes[:NEUTRAL], last))

    def settings(self) -> dict[str, Any]:
        return {"neutral": self.neutral, "seed": self.seed}

    def notes(self, split: str) -> list[str]:
        counted = {"ignore": "void", "background": "background", "person": "persons"}[self.neutral]
        said = [
            f"objects of the class neutral count as {counted} (setting neutral: ignore, background, person)"
        ]
        if split != "all":
            said.append(
                f"there is no official split: {split} is drawn at random (setting seed, now {self.seed})"
            )
        return said

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
        return [self.root, *(p for p in sorted(self.root.glob("*")) if is_file(p / "meta.json"))]

    @cached_property
    def _all_frames(self) -> list[Frame]:
        for base in self._bases():
            images = [(d, n) for d in base.glob("ds*") for n in walk(d / "img") if n.lower().endswith(IMAGES)]
            if images:
                frames = [Frame(f"{d.name}/{n}", d / "img" / n, _annotation(d, n)) for d, n in images]
                return sorted(frames, key=lambda frame: frame.name)
        return []

    def label_size(self, frame: Frame) -> tuple[int, int]:
        """(H, W) that the annotation gives and the image, where it is there, has. Raises FileError."""
        return self._checked_size(frame, load(frame.label))

    def read_image(self, frame: Frame) -> NDArray[np.uint8]:
        image = super().read_image(frame)
        _check_size(frame, size_of(frame.label, load(frame.label)), image.shape[:2])
        return image

    def decode_labels(self, data: bytes, frame: Frame) -> NDArray[np.uint8]:
        """(H, W) 0 background, 1 person, 2 neutral. Raises FileError."""
        annotation = parse(data, frame.label)
        labels = np.zeros(self._checked_size(frame, annotation), np.uint8)
        for _, label, (row, col, mask) in objects_of(annotation, frame.label):
            part = labels[row : row + mask.shape[0], col : col + mask.shape[1]]
            part[mask if label == PERSON else mask & (part != PERSON)] = label
        return labels

    def read_instances(self, frame: Frame) -> NDArray[np.int32]:
        """(H, W) 0, or the position (from 1) in the annotation of the person that was drawn last.

        Neutral objects have numbers only where `neutral` is "person". Raises FileError.
        """
        annotation = load(frame.label)
        instances = np.zeros(self._checked_size(frame, annotation), np.int32)
        numbered = {c.id for c in self.classes.classes if c.train_id == PERSON}
        for number, label, (row, col, mask) in objects_of(annotation, frame.label):
            if label in numbered:
                instances[row : row + mask.shape[0], col : col + mask.shape[1]][mask] = number
        return instances

    def _checked_size(self, frame: Frame, annotation: dict[str, Any]) -> tuple[int, int]:
        """The annotation's size, once the image (where it is there) agrees."""
        from pipeline.datasets import readers

        size = size_of(frame.label, annotation)
        if exists(frame.image):
            _check_size(frame, size, readers.image_size(frame.image))
        return size


def validation_indices(count: int, seed: int) -> set[int]:
    """Which of `count` images in name order are for validation: at least one of two, none of one."""
    share = min(max(1, round(count * VALIDATION_SHARE)), count - 1)
    return set(np.random.default_rng(seed).permutation(count)[:share].tolist())


def _annotation(dataset: Path, image: str) -> Path:
    """`NAME.png.json` (today's exports) or, where only that is there, `NAME.json` (2018)."""
    today = dataset / "ann" / f"{image}.json"
    former = today.with_name(f"{Path(image).stem}.json")
    return former if exists(former) and not exists(today) else today


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
