"""One label map from file to boundaries: what a task does with each frame, and what `verify` does again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.base import Dataset, Frame, strips_of
from pipeline.datasets.files import exists
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


@dataclass(frozen=True)
class LabelMap:
    """One label map, read once: ids and fingerprint are of the same bytes."""

    ids: NDArray[np.uint8] | NDArray[np.uint16]  # (H, W) raw ids
    source: NDArray[np.uint64]  # (2,) see `fingerprint`


def read_label_map(dataset: Dataset, frame: Frame) -> LabelMap:
    """Read what a frame's label map is made of once. Raises FileError."""
    data = dataset.label_bytes(frame)
    return LabelMap(dataset.decode_labels(data, frame), fingerprint(data))


def read_instances(dataset: Dataset, frame: Frame, shape: tuple[int, ...]) -> NDArray[np.int32] | None:
    """`Dataset.read_instances`, of the shape (H, W) of the label map. Raises FileError."""
    instances = dataset.read_instances(frame)
    if instances is not None:
        fit_instances(frame, instances.shape, shape)
    return instances


def fit_instances(frame: Frame, size: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """Raise FileError unless instance map and label map of a frame have the same size (H, W)."""
    if size != labels:
        path = frame.instance or frame.label
        raise FileError(
            f"{path}: the instance map is {size[1]} x {size[0]}, the label map {labels[1]} x {labels[0]}: "
            f"they must have the same size{_turned(path, size, labels)}"
        )


def fingerprint(data: bytes) -> NDArray[np.uint64]:
    """(2,) number and 64-bit BLAKE2b of bytes."""
    value = hashlib.blake2b(data, digest_size=8).digest()
    return np.array([len(data), int.from_bytes(value, "little")], np.uint64)


def source_of(dataset: Dataset, frame: Frame) -> NDArray[np.uint64]:
    """`fingerprint` of what a label map is made of. Raises FileError when it cannot be read."""
    return fingerprint(dataset.label_bytes(frame))


def process_frame(dataset: Dataset, frame: Frame, grid: tuple[int, int], crops: int) -> FrameBoundaries:
    """Read one label map and find its boundaries.

    Raises
    ------
    FileError
        The label map (or its image's header) cannot be read, their sizes differ, an id is unknown.
    """
    data = dataset.label_bytes(frame)
    return _found(strips_of(dataset, data, frame), dataset, frame, grid, crops, fingerprint(data))


def process_label_map(
    found: LabelMap, dataset: Dataset, frame: Frame, grid: tuple[int, int], crops: int
) -> FrameBoundaries:
    """`process_frame` of a label map that has been read. Raises FileError."""
    return _found([found.ids], dataset, frame, grid, crops, found.source)


def _found(
    strips: Iterable[NDArray[Any]],
    dataset: Dataset,
    frame: Frame,
    grid: tuple[int, int],
    crops: int,
    source: NDArray[np.uint64],
) -> FrameBoundaries:
    """What `process_frame` does with the strips (N, W) of raw ids that make up a label map."""
    from pipeline.geometry.boundaries import boundary_pixels_of_strips, pack

    targets = dataset.classes.targets
    found, (height, width) = boundary_pixels_of_strips(strips, dataset.classes.lut, targets)
    _check_image(dataset, frame, (height, width))
    if min(height, width) < 2:
        raise FileError(f"{frame.label}: {width} x {height} pixels are too few for a crop")
    if found.unknown:
        raise FileError(
            f"{frame.label}: id {', '.join(map(str, found.unknown))} is not in the class table of "
            f"{dataset.name}"
        )
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


def _check_image(dataset: Dataset, frame: Frame, shape: tuple[int, ...]) -> None:
    """The image may be absent (labels alone make tensors), but if it is there it must fit the label map."""
    if exists(frame.image) and (problem := misfit(frame, shape, dataset.image_size(frame))):
        raise FileError(problem)


def misfit(frame: Frame, labels: tuple[int, ...], image: tuple[int, ...]) -> str:
    """What is wrong if a label map and its image have these sizes (H, W); "" if nothing is."""
    if labels == image:
        return ""
    return (
        f"{frame.label}: the label map is {labels[1]} x {labels[0]}, its image {frame.image.name} "
        f"{image[1]} x {image[0]}: they must have the same size{_turned(frame.image, image, labels)}"
    )


def _turned(path: Path, size: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What to add if a picture has the right size on its side."""
    from pipeline.datasets import readers

    if size != wanted[1::-1]:
        return ""
    if (tag := readers.orientation(path)) > 4:
        return (
            f". {path.name} is stored on its side and turned by its orientation tag ({tag}), which is not "
            f"followed: save it turned, without the tag"
        )
    return f". {path.name} seems to lie on its side: turn it"
