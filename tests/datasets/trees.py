"""Tiny data sets of the user's own in the shapes that people have them, for `adaprep init`."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 24, 32
COUNT = 6
NAMES = ("ground", "blob", "stick")
COLORS = ((0, 0, 0), (128, 64, 0), (0, 192, 64))
Ids = NDArray[np.uint8]

WORDS = ("fern", "otter", "maple", "heron", "quartz", "lichen")
"""Names of images that have nothing in common."""


def ids(number: int, void: bool = False) -> Ids:
    """(24, 32) of 0 ground, 1 a square that is most of it, 2 a stick; 255 a corner."""
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    labels[4:20, 3 + number : 19 + number] = 1
    labels[6:18, 25 - number] = 2
    if void:
        labels[:3, :5] = 255
    return labels


def photo(labels: Ids) -> NDArray[np.uint8]:
    """(24, 32, 3) a noisy picture of the labels."""
    noise = np.random.default_rng(int(labels.sum())).integers(0, 60, (*labels.shape, 3), dtype=np.uint8)
    return (labels.clip(max=3)[..., None] * 60).astype(np.uint8) + noise


def save(path: Path, pixels: NDArray[Any], **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        Image.fromarray(pixels).save(path, **options)


def text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def pairs(
    root: Path,
    image: str = "images/{n}.jpg",
    label: str = "labels/{n}.png",
    splits: tuple[str, ...] = ("",),
    encode: Callable[[Ids], NDArray[Any]] = lambda labels: labels,
    void: bool = False,
    words: bool = False,
) -> None:
    """Images and label maps; {s} is the split, {n} the number of the image or, with `words`, a word."""
    for split in splits:
        for number in range(COUNT if len(splits) == 1 else 3):
            name = WORDS[number] if words else f"{number + 1:03}"
            labels = ids(number, void)
            save(root / image.format(s=split, n=name), photo(labels))
            save(root / label.format(s=split, n=name), encode(labels))


def colored(labels: Ids) -> NDArray[np.uint8]:
    """(H, W, 3) a colour for each class; void is white."""
    table = np.full((256, 3), 255, np.uint8)
    table[:3] = COLORS
    return table[labels]


def outlines(labels: Ids) -> list[tuple[int, list[tuple[int, int]]]]:
    """Class and corners (x, y) of the square and of the stick."""
    found = []
    for number in (1, 2):
        rows, cols = np.nonzero(labels == number)
        top, left, bottom, right = rows.min(), cols.min(), rows.max() + 1, cols.max() + 1
        corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
        found.append((number, [(int(x), int(y)) for x, y in corners]))
    return found


def coco(
    root: Path,
    folder: str,
    file: str,
    gaps: tuple[int, int] = (1, 2),
    kind: str = "polygon",
    relative: str = "",
) -> None:
    """Images in `folder`, and one file of annotations."""
    content: dict[str, Any] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": gaps[i], "name": NAMES[i + 1]} for i in range(2)],
    }
    for number in range(COUNT):
        labels, name = ids(number), f"{number + 1:012}.jpg"
        save(root / folder / name, photo(labels))
        entry = {"id": number + 7, "file_name": relative + name, "height": HEIGHT, "width": WIDTH}
        content["images"].append(entry)
        for category, corners in outlines(labels):
            (left, top), _, (right, bottom), _ = corners
            box = [left, top, right - left, bottom - top]
            shape: Any = [[float(v) for corner in corners for v in corner]]
            if kind == "rle":
                shape = {"size": [HEIGHT, WIDTH], "counts": run_lengths(labels == category)}
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1, "image_id": number + 7, "bbox": box, "iscrowd": 0,
                    "category_id": gaps[category - 1], "area": box[2] * box[3],
                    **({} if kind == "boxes" else {"segmentation": shape}),
                }
            )  # fmt: skip
    text(root / file, json.dumps(content))


def run_lengths(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, beginning with what is not in the mask."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [True]])
    flat[-1] = not flat[-2]
    edges = np.flatnonzero(np.diff(flat.astype(np.int8)))
    lengths = np.diff(np.concatenate([[0], edges]))
    return [int(length) for length in lengths]


def labelme(root: Path, image: str = "{n}.jpg", label: str = "{n}.json", extra: str = "") -> None:
    """Labelme's file for each image."""
    for number in range(COUNT):
        labels, name = ids(number), f"photo {number + 1}"
        save(root / image.format(n=name), photo(labels))
        shapes = [
            {"label": NAMES[n], "points": [[float(v) for v in c] for c in corners], "shape_type": "polygon"}
            for n, corners in outlines(labels)
        ]
        if extra:
            corner = [[0.0, 0.0], [5.0, 0.0], [5.0, 3.0], [0.0, 3.0]]
            shapes.append({"label": extra, "points": corner, "shape_type": "polygon"})
        content = {
            "version": "5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None,
            "imageHeight": HEIGHT, "imageWidth": WIDTH,
        }  # fmt: skip
        text(root / label.format(n=name), json.dumps(content))


def yolo(
    root: Path, image: str, label: str, splits: tuple[str, ...] = ("train", "val"), boxes: bool = False
) -> None:
    """YOLO's text for each image."""
    for split in splits:
        for number in range(3 if len(splits) > 1 else COUNT):
            labels, name = ids(number), f"{number + 1:03}"
            save(root / image.format(s=split, n=name), photo(labels))
            lines = []
            for category, corners in outlines(labels):
                values = [v for x, y in corners for v in (x / WIDTH, y / HEIGHT)]
                values = [0.5, 0.5, 0.25, 0.25] if boxes else values
                lines.append(" ".join([str(category - 1), *(f"{v:.6f}" for v in values)]))
            text(root / label.format(s=split, n=name), "\n".join(lines) + "\n")


def data_yaml(root: Path) -> None:
    text(root / "data.yaml", "train: images/train\nval: images/val\nnc: 2\nnames: ['blob', 'stick']\n")


def supervisely(root: Path, folder: str = "ds1") -> None:
    """A project of today's form."""
    classes = [{"title": NAMES[n], "shape": "polygon", "color": f"#{n:02x}8040"} for n in (1, 2)]
    text(root / "meta.json", json.dumps({"classes": classes, "tags": []}))
    for number in range(COUNT):
        labels, name = ids(number), f"{number + 1:03}.jpg"
        save(root / folder / "img" / name, photo(labels))
        objects = [
            {
                "classTitle": NAMES[n], "geometryType": "polygon", "description": "", "tags": [],
                "points": {"exterior": [list(c) for c in corners], "interior": []},
            }
            for n, corners in outlines(labels)
        ]  # fmt: skip
        content = {"size": {"height": HEIGHT, "width": WIDTH}, "objects": objects, "tags": []}
        text(root / folder / "ann" / f"{name}.json", json.dumps(content))


def mask_folders(root: Path) -> None:
    """A folder of masks for each class."""
    for number in range(COUNT):
        labels = ids(number)
        save(root / "images" / f"{number}.jpg", photo(labels))
        for n in (1, 2):
            save(root / "masks" / NAMES[n] / f"{number}.png", (255 * (labels == n)).astype(np.uint8))


def voc(root: Path, lists: bool = True) -> None:
    pairs(root, "JPEGImages/2007_{n}.jpg", "SegmentationClass/2007_{n}.png", encode=void_border)
    pairs(root, "JPEGImages/2007_{n}.jpg", "SegmentationObject/2007_{n}.png")
    if lists:
        text(root / "ImageSets/Segmentation/train.txt", "".join(f"2007_{n:03}\n" for n in (1, 2, 3, 4)))
        text(root / "ImageSets/Segmentation/val.txt", "2007_005\n2007_006\n")
        text(root / "ImageSets/Segmentation/trainval.txt", "".join(f"2007_{n:03}\n" for n in range(1, 7)))


def void_border(labels: Ids) -> Ids:
    made = labels.copy()
    made[4, :] = 255
    return made


def lists(root: Path, separator: str = " ", where: str = "", base: str = "") -> None:
    """Pairs in folders whose names say nothing, listed per split."""
    pairs(root, "frames/a{n}.jpg", "out/{n}_x.png")
    for split, numbers in (("train", (1, 2, 3, 4)), ("val", (5, 6))):
        rows = [f"{base}frames/a{n:03}.jpg{separator}{base}out/{n:03}_x.png\n" for n in numbers]
        text(root / where / f"{split}.txt", "".join(rows))


def archive(root: Path, name: str, member: str = "") -> None:
    """A data set packed into one file, with one odd member if one is named."""
    inner = root / "inner"
    pairs(inner)
    files = sorted(path for path in inner.rglob("*") if path.is_file())
    if name.endswith(".zip"):
        with zipfile.ZipFile(root / name, "w") as file:
            for path in files:
                file.write(path, path.relative_to(inner).as_posix())
            if member:
                file.writestr(member, "x")
    else:
        with tarfile.open(root / name, "w:gz") as tar:
            for path in files:
                tar.add(path, path.relative_to(inner).as_posix())
            if member:
                info = tarfile.TarInfo(member)
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                tar.addfile(info, io.BytesIO())


@dataclass(frozen=True)
class Case:
    """A data set and how `init` is called on it."""

    group: str
    what: str
    build: Callable[[Path], None]
    target: str = ""  # below the folder
    options: tuple[str, ...] = ()


def cases() -> Iterator[Case]:
    """Every shape that the table of the docs shows."""
    from tests.datasets import tree_cases

    yield from tree_cases.CASES
