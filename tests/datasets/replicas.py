"""Miniature replicas of the data sets, seeded, in the layout of the real archives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.base import ClassTable
from tests.datasets.encode import write_png

SIZE = (12, 18)


def draw_ids(rng: np.random.Generator, table: ClassTable) -> NDArray[np.uint8]:
    """(H, W) patches of ids of the table."""
    ids = np.array([c.id for c in table.classes], np.uint8)
    return np.kron(rng.choice(ids, (3, 3)), np.ones((SIZE[0] // 3, SIZE[1] // 3), np.uint8))


def write_image(path: Path, rng: np.random.Generator) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)).save(path)
    return path


def camvid(root: Path, table: ClassTable, layout: str = "images/labels") -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        images, labels, suffix = {
            "images/labels": (f"images/{split}", f"labels/{split}", ""),
            "segnet": (split, f"{split}annot", ""),
            "960x720": (f"images/{split}", f"labels/{split}", "_L"),
        }[layout]
        for i in range(count):
            write_image(root / images / f"0001TP_{i:06}.png", rng)
            write_png(root / labels / f"0001TP_{i:06}{suffix}.png", draw_ids(rng, table))
    return root


def cityscapes(root: Path, table: ClassTable) -> Path:
    rng = np.random.default_rng(1)
    for split, city, count in (("train", "aachen", 2), ("train", "bochum", 1), ("val", "lindau", 1)):
        for i in range(count):
            stem = f"{split}/{city}/{city}_{i:06}_000019"
            write_image(root / f"leftImg8bit/{stem}_leftImg8bit.png", rng)
            labels = draw_ids(rng, table)
            write_png(root / f"gtFine/{stem}_gtFine_labelIds.png", labels)
            write_png(root / f"gtFine/{stem}_gtFine_color.png", np.stack([labels] * 4, 2))
            instances = labels.astype(np.uint16)
            instances[:3][labels[:3] >= 24] *= 1000
            write_png(root / f"gtFine/{stem}_gtFine_instanceIds.png", instances)
    return root


def apolloscape_frame(
    root: Path, rng: np.random.Generator, table: ClassTable, road: str, record: int, type_first: bool = False
) -> str:
    """Writes one frame and returns its line in a list."""
    record_folder = f"Record{record:03}/Camera 5/170908_0616331{record:02}_Camera_5"
    color, label = (
        (f"ColorImage/{road}", f"Label/{road}") if type_first else (f"{road}/ColorImage", f"{road}/Label")
    )
    write_image(root / f"{color}/{record_folder}.jpg", rng)
    ids = draw_ids(rng, table)
    write_png(root / f"{label}/{record_folder}_bin.png", ids, color=3)
    instances = np.full(SIZE, 255, np.uint16)
    instances[ids == 33] = 33_000 + record
    instances[ids == 36] = 36_000
    instances[ids > 160] = 65_535
    if road.endswith("_ins"):
        write_png(root / f"{label}/{record_folder}_instanceIds.png", instances)
    return f"{road}/ColorImage/{record_folder}.jpg\t{road}/Label/{record_folder}_bin.png"


def apolloscape(
    root: Path, table: ClassTable, roads: tuple[str, ...], type_first: bool = False
) -> dict[str, list[str]]:
    """Two records a road; lines of lists by road."""
    rng = np.random.default_rng(2)
    return {
        road: [apolloscape_frame(root, rng, table, road, record, type_first) for record in (1, 12)]
        for road in roads
    }


def write_list(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def synthia_16_bit(rng: np.random.Generator, table: ClassTable) -> NDArray[np.uint16]:
    """(H, W, 3) class ids, numbers of cars, nothing."""
    ids = draw_ids(rng, table)
    objects = np.where(ids == 8, 193, 0)
    return np.stack([ids, objects, np.zeros_like(ids)], axis=2).astype(np.uint16)


def synthia_rand(root: Path, table: ClassTable, moments: int = 40) -> list[str]:
    """Two cameras a moment; the stems."""
    rng = np.random.default_rng(3)
    stems = [
        f"ap_000_02-11-2015_18-02-19_{moment:06}_{camera}_Rand_{moment % 17}"
        for moment in range(moments)
        for camera in (0, 3)
    ]
    for stem in stems:
        write_image(root / f"RGB/{stem}.png", rng)
        text = "\n".join(" ".join(map(str, row)) for row in draw_ids(rng, table))
        (root / "GTTXT").mkdir(exist_ok=True)
        (root / f"GTTXT/{stem}.txt").write_text(text + "\n")
    write_list(root / "ALL.txt", [f"{stem}.png {stem}.txt" for stem in stems])
    return stems


def synthia_rand_cityscapes(root: Path, table: ClassTable, count: int = 40) -> None:
    rng = np.random.default_rng(4)
    for i in range(count):
        write_image(root / f"RGB/{i:07}.png", rng)
        write_png(root / f"GT/LABELS/{i:07}.png", synthia_16_bit(rng, table))


def synthia_sequence(root: Path, table: ClassTable, count: int = 20) -> None:
    rng = np.random.default_rng(5)
    for camera in ("Stereo_Left/Omni_F", "Stereo_Left/Omni_B", "Stereo_Right/Omni_F"):
        for i in range(count):
            write_image(root / f"RGB/{camera}/{i:06}.png", rng)
            write_png(root / f"GT/LABELS/{camera}/{i:06}.png", synthia_16_bit(rng, table))
