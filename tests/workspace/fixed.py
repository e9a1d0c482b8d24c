"""A tiny fixed data set, made by arithmetic alone: the same pixels with every version of NumPy and Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CLASSES = """\
name: fixed
classes:
  - {id: 0, name: ground}
  - {id: 1, name: blob}
  - {id: 7, name: stick}
void: [255]
targets: [blob, stick]
splits:
  train: {images: images/train, labels: labels/train}
  val: {images: images/val, labels: labels/val}
"""

COUNTS = {"train": 5, "val": 2}


def labels(seed: int) -> NDArray[np.uint8]:
    """(40, 56) ids: two discs, a stick, a corner of void; every fourth has nothing but ground."""
    rows, cols = np.mgrid[:40, :56]
    ids = np.zeros((40, 56), np.uint8)
    if seed % 4 != 3:
        for k in (1, 2):
            ids[(rows - 7 * k - seed) ** 2 + (cols - 17 * k + 2 * seed) ** 2 <= (4 + seed % 3) ** 2] = 1
        ids[13:, 5 + 8 * (seed % 6)] = 7
        ids[:5, :9] = 255
    return ids


def image(seed: int) -> NDArray[np.uint8]:
    """(40, 56, 3) of a checkered gradient, brighter where something stands."""
    rows, cols = np.mgrid[:40, :56]
    shade = 3 * rows + cols + 11 * seed + 90 * (labels(seed) != 0)
    return np.stack([(shade + 40 * k + 9 * ((rows + k * cols) % 3)) % 256 for k in range(3)], axis=-1).astype(
        np.uint8
    )


def write(root: Path) -> Path:
    """Write the data set and return its YAML file. The pictures are PNG, which keeps every pixel."""
    for split, count in COUNTS.items():
        for kind, make in (("images", image), ("labels", labels)):
            folder = root / kind / split
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(make(i + 10 * (split == "val"))).save(folder / f"{i:04}.png")
    yaml = root / "fixed.yaml"
    yaml.write_text(CLASSES, encoding="utf-8")
    return yaml
