"""One label map from file to boundaries: what a task does with each frame, and what `verify` does again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame
from pipeline.errors import FileError


@dataclass(frozen=True)
class FrameBoundaries:
    """Everything the stage knows of one label map."""

    size: tuple[int, int]
    packed: NDArray[np.uint8]  # (2, H, ceil(W / 8)) bit planes, see geometry.boundaries.pack
    b: NDArray[np.float64]  # (K, 2, h, w) coordinates in [0, 1]; NaN where the crop has no boundary
    has_boundary: NDArray[np.bool_]  # (K,)
    pixels: NDArray[np.int32]  # (K, T) boundary pixels a target class
    source: NDArray[np.uint64]  # (2,) bytes and hash of the label file


def source_of(path: Path) -> NDArray[np.uint64]:
    """(2,) size in bytes and 64-bit BLAKE2b of a file. Raises FileError when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error
    value = hashlib.blake2b(content, digest_size=8).digest()
    return np.array([len(content), int.from_bytes(value, "little")], np.uint64)


def process_frame(dataset: Dataset, frame: Frame, grid: tuple[int, int], crops: int) -> FrameBoundaries:
    """Read one label map and find its boundaries.

    Raises
    ------
    FileError
        The label map (or its image's header) cannot be read, their sizes differ, an id is unknown.
    """
    labels = dataset.read_labels(frame)
    _check_image(frame, labels.shape)
    return find(labels, dataset, frame, grid, crops, source_of(frame.label))


def find(
    labels: NDArray[Any],
    dataset: Dataset,
    frame: Frame,
    grid: tuple[int, int],
    crops: int,
    source: NDArray[np.uint64],
) -> FrameBoundaries:
    """What `process_frame` does once the label map (H, W) of raw ids is in memory."""
    from pipeline.geometry.boundaries import boundary_pixels, pack

    if min(labels.shape) < 2:
        raise FileError(f"{frame.label}: {labels.shape[1]} x {labels.shape[0]} pixels are too few for a crop")
    targets = dataset.classes.targets
    found = boundary_pixels(labels, dataset.classes.lut, targets)
    if found.unknown:
        raise FileError(
            f"{frame.label}: id {', '.join(map(str, found.unknown))} is not in the class table of "
            f"{dataset.name}"
        )
    height, width = labels.shape
    b, has, pixels = describe_crops(found, (height, width), grid, crops, targets)
    return FrameBoundaries((height, width), pack(found, (height, width)), b, has, pixels, source)


def describe_crops(
    found: Any, shape: tuple[int, int], grid: tuple[int, int], crops: int, targets: Sequence[int] = ()
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int32]]:
    """Nearest boundary, flag and counts of every crop of one image.

    Parameters
    ----------
    found
        Boundary pixels of the whole image (`BoundaryPixels`).
    shape
        (H, W) of the image.

    Returns
    -------
    b (K, 2, h, w), has_boundary (K,), pixels (K, T).
    """
    from pipeline.geometry.boundaries import crop_pixels
    from pipeline.geometry.crops import offsets
    from pipeline.geometry.crops import side as crop_side
    from pipeline.geometry.nearest import nearest_pixels

    side = crop_side(*shape)
    b = np.full((crops, 2, *grid), np.nan)
    pixels = np.zeros((crops, len(targets)), np.int32)
    has = np.zeros(crops, bool)
    before: tuple[int, int] | None = None
    for k, corner in enumerate(offsets(*shape, crops)):
        if corner == before:
            b[k], has[k], pixels[k] = b[k - 1], has[k - 1], pixels[k - 1]
            continue
        before = corner
        inside = crop_pixels(found, *corner, side)
        has[k] = len(inside.rows) > 0
        if has[k]:
            b[k] = nearest_pixels(inside.rows, inside.cols, (side, side), grid) / (side - 1)
        if len(targets):
            pixels[k] = np.bincount(inside.classes, minlength=256)[list(targets)]
    return b, has, pixels


def _check_image(frame: Frame, shape: tuple[int, ...]) -> None:
    """The image may be absent (labels alone make tensors), but if it is there it must fit the label map."""
    from pipeline.datasets import readers

    if not frame.image.exists():
        return
    size = readers.image_size(frame.image)
    if size != shape:
        raise FileError(
            f"{frame.label}: the label map is {shape[1]} x {shape[0]}, its image {frame.image.name} "
            f"{size[1]} x {size[0]}: they must have the same size"
        )
