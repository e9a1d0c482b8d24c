"""Target boundaries: the pixels of target classes beside which another class begins.

`target_boundaries` is the definition, on train ids. `boundary_pixels` finds the same pixels straight from
raw ids, as a sparse list from which every crop's own boundary follows exactly (`crop_pixels`); `pack` keeps
what all largest-square crops need in two bits a pixel.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import _boundary_kernels as kernels
from pipeline.geometry._arguments import sides, whole

VOID = 255
"""Train id of pixels that count for nothing."""

UNKNOWN = kernels.UNKNOWN
"""Entry of a lookup table for raw ids that have no class."""

SAME = np.arange(65536).astype(np.uint8)
"""Lookup table that leaves train ids as they are."""

UP, DOWN, LEFT, RIGHT = kernels.UP, kernels.DOWN, kernels.LEFT, kernels.RIGHT
"""Bits of `BoundaryPixels.flags`: this neighbour lies inside the image and has another train id."""


@dataclass(frozen=True, eq=False)
class BoundaryPixels:
    """The target boundary pixels of one label map, n of them, in row-major order."""

    rows: NDArray[np.int32]  # (n,)
    cols: NDArray[np.int32]  # (n,)
    classes: NDArray[np.uint8]  # (n,) train id of the pixel itself; after `unpack`: VOID
    flags: NDArray[np.uint8]  # (n,) UP | DOWN | LEFT | RIGHT, never 0
    unknown: tuple[int, ...] = ()  # raw ids in the map that the lookup table does not know, ascending

    def __len__(self) -> int:
        return len(self.rows)


def target_boundaries(labels: NDArray[np.integer[Any]], targets: Iterable[int]) -> NDArray[np.bool_]:
    """Mark the target boundary of a label map.

    A pixel is on it when its own class is a target and one of its 4 neighbours inside the map has another
    train id. Void counts as another; the border of the map is no boundary.

    Parameters
    ----------
    labels
        (H, W) train ids, any integer dtype.
    targets
        Train ids of the target classes.

    Returns
    -------
    NDArray of bool
        (H, W).

    Raises
    ------
    ValueError
        `labels` is no (H, W) array of integers, or a target is no train id of a class.
    """
    _check_map(labels)
    if labels.dtype == np.uint8:
        pixels = train_id_pixels(labels, targets)
        boundary = np.zeros(labels.shape, bool)
        boundary[pixels.rows, pixels.cols] = True
        return boundary
    kept = labels.dtype if labels.dtype == np.uint16 else np.dtype(np.int64)  # compiled for these
    train = np.ascontiguousarray(labels.astype(kept, copy=False))
    return kernels.mark(train, _target_table(targets)).view(bool)


def train_id_pixels(labels: NDArray[np.integer[Any]], targets: Iterable[int]) -> BoundaryPixels:
    """List the pixels of `target_boundaries`, of which these are the parameters: faster than to mark them.

    Raises
    ------
    ValueError
        `labels` is no (H, W) array of uint8, or a target is no train id of a class.
    """
    if labels.dtype != np.uint8:
        raise ValueError(f"train ids have dtype {labels.dtype}, must be uint8")
    return boundary_pixels(labels, SAME, targets)


def boundary_pixels(
    labels: NDArray[np.integer[Any]], lut: NDArray[np.uint8], targets: Iterable[int]
) -> BoundaryPixels:
    """List the target boundary pixels of a map of raw class ids; the same pixels as `target_boundaries`.

    Raw ids that share a train id are one class: no boundary runs between them.

    Parameters
    ----------
    labels
        (H, W) raw ids. C-contiguous uint8 or uint16 is read in place, anything else is converted first.
    lut
        (65536,) uint8, raw id -> train id; `VOID` for void, `UNKNOWN` for ids without a class.
    targets
        Train ids of the target classes.

    Returns
    -------
    BoundaryPixels
        With every unknown id that occurs anywhere in the map.

    Raises
    ------
    ValueError
        `labels` is no (H, W) array of integers in 0..65535, `lut` has another shape or dtype, or a target is
        no train id of a class.
    """
    return boundary_pixels_of_strips([labels], lut, targets)[0]


def boundary_pixels_of_strips(
    strips: Iterable[NDArray[np.integer[Any]]], lut: NDArray[np.uint8], targets: Iterable[int]
) -> tuple[BoundaryPixels, tuple[int, int]]:
    """`boundary_pixels` of a map that comes a strip of rows after another, so that it need never be whole.

    Parameters
    ----------
    strips
        At least one, each (N, W) raw ids of one type, N at least 1, from the top of the map to its bottom. A
        strip may be overwritten once the next one is asked for.
    lut, targets
        As of `boundary_pixels`.

    Returns
    -------
    The pixels, and the size (H, W) of the whole map.

    Raises
    ------
    ValueError
        As of `boundary_pixels`, or there is no strip, or the strips are not equally wide.
    """
    if lut.shape != (65536,) or lut.dtype != np.uint8:
        raise ValueError(f"lookup table has shape {lut.shape} and dtype {lut.dtype}, must be (65536,) uint8")
    table, target, unknown = np.ascontiguousarray(lut), _target_table(targets), np.zeros(65536, bool)
    places, bytes_ = np.empty(0, np.int32), np.empty(0, np.uint8)
    pixels: kernels.Pixels = (places, places, bytes_, bytes_)
    before, height, count = np.empty((0, 0), np.uint8), 0, 0
    for strip in map(_raw_ids, strips):
        if not height:
            before = np.zeros((2, strip.shape[1]), strip.dtype)
            unknown[strip[0, 0]] = lut[strip[0, 0]] == UNKNOWN
        elif strip.shape[1] != before.shape[1] or strip.dtype != before.dtype:
            raise ValueError(f"strips of {before.shape[1]} and {strip.shape[1]} columns, or of two types")
        pixels, count = kernels.find(before, strip, height, False, table, target, unknown, pixels, count)
        before[0] = strip[-2] if len(strip) > 1 else before[1]
        before[1] = strip[-1]
        height += len(strip)
    if not height:
        raise ValueError("a map of no strips has no boundary")
    pixels, count = kernels.find(before, before[:0], height, True, table, target, unknown, pixels, count)
    rows, cols, classes, flags = (array[:count].copy() for array in pixels)
    found = BoundaryPixels(rows, cols, classes, flags, tuple(np.flatnonzero(unknown).tolist()))
    return found, (height, before.shape[1])


def crop_pixels(pixels: BoundaryPixels, top: int, left: int, side: int) -> BoundaryPixels:
    """The boundary pixels of a square crop, exactly as if the crop's label map stood alone.

    Only pixels on the crop's own edges can differ: their neighbours outside do not count.

    Parameters
    ----------
    pixels
        Boundary pixels of the image. From `unpack`: only largest-square crops come out right.
    top, left
        The crop's first row and column.
    side
        Its height and width in pixels; it must lie inside the image.

    Returns
    -------
    BoundaryPixels
        Coordinates relative to the crop. `unknown` stays that of the whole image.

    Raises
    ------
    ValueError
        Negative corner, a side below 1, or arrays of pixels that do not go together.
    """
    _check_pixels(pixels)
    if not (top >= 0 and left >= 0 and side >= 1):
        raise ValueError(f"crop of side {side} at {(top, left)} is not inside any image")
    top, left, side = whole("first row", top, 0), whole("first column", left, 0), whole("side", side, 1)
    rows, cols, classes, flags = kernels.crop(
        pixels.rows, pixels.cols, pixels.classes, pixels.flags, top, left, side
    )
    return BoundaryPixels(rows, cols, classes, flags, pixels.unknown)


def pack(pixels: BoundaryPixels, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Pack boundary pixels into two bit planes, from which any largest-square crop can be had again.

    Such a crop slides along the longer side (columns of a landscape or square image, rows of a portrait), so
    only the neighbours before and after a pixel in that direction can fall outside it. Plane 0 holds the
    pixels that are boundary through any neighbour but the one after, plane 1 through any but the one
    before: a crop's first line is read in plane 1 (unless it is the image's first), its last line in plane 0
    (unless it is the image's last), the rest in either.

    Parameters
    ----------
    pixels
        Boundary pixels of the whole image.
    shape
        (H, W) of the image.

    Returns
    -------
    NDArray of uint8
        (2, H, ceil(W / 8)), the first column in the highest bit, as `numpy.packbits` does.

    Raises
    ------
    ValueError
        A pixel lies outside the shape, or the arrays of pixels do not go together.
    """
    height, width = shape = sides("image", shape, 0)
    _check_pixels(pixels)
    if len(pixels) and not (
        0 <= pixels.rows.min() <= pixels.rows.max() < height
        and 0 <= pixels.cols.min() <= pixels.cols.max() < width
    ):
        raise ValueError(f"boundary pixels lie outside an image of shape {(height, width)}")
    planes = np.zeros((2, height, -(-width // 8)), np.uint8)
    kernels.pack(pixels.rows, pixels.cols, pixels.flags, *_along(shape), planes)
    return planes


def unpack(packed: NDArray[np.uint8], shape: tuple[int, int]) -> BoundaryPixels:
    """Boundary pixels of an image from its two bit planes.

    Parameters
    ----------
    packed
        (2, H, ceil(W / 8)) from `pack`.
    shape
        (H, W) of the image.

    Returns
    -------
    BoundaryPixels
        Positions are exact. `classes` are all `VOID`, for they are not kept, and `flags` say no more than
        what largest-square crops ask of them: whether a pixel is still boundary when the neighbour before or
        after it along the longer side is cut off.

    Raises
    ------
    ValueError
        The array's shape or dtype is not that of such an image, or bits beyond its width are set.
    """
    height, width = shape = sides("image", shape, 0)
    wanted = (2, height, -(-width // 8))
    if packed.shape != wanted or packed.dtype != np.uint8:
        raise ValueError(
            f"packed boundary map has shape {packed.shape} and dtype {packed.dtype}, "
            f"must be {wanted} uint8 for an image of shape {(height, width)}"
        )
    if width % 8 and (packed[:, :, -1] & (0xFF >> width % 8)).any():
        raise ValueError(f"packed boundary map has bits set beyond the width of shape {(height, width)}")
    rows, cols, flags = kernels.unpack(np.ascontiguousarray(packed), *_along(shape))
    return BoundaryPixels(rows, cols, np.full(len(rows), VOID, np.uint8), flags)


def _along(shape: tuple[int, int]) -> tuple[int, int]:
    """Flags of the neighbours before and after a pixel along the side that largest-square crops slide on."""
    return (LEFT, RIGHT) if shape[1] >= shape[0] else (UP, DOWN)


def _check_pixels(pixels: BoundaryPixels) -> None:
    arrays: tuple[NDArray[Any], ...] = (pixels.rows, pixels.cols, pixels.classes, pixels.flags)
    kinds = (np.dtype(np.int32), np.dtype(np.int32), np.dtype(np.uint8), np.dtype(np.uint8))
    if any(a.ndim != 1 or a.shape != pixels.rows.shape for a in arrays) or any(
        a.dtype != kind for a, kind in zip(arrays, kinds, strict=True)
    ):
        shown = ", ".join(f"{a.shape} {a.dtype}" for a in arrays)
        raise ValueError(
            f"boundary pixels have rows, columns, classes and flags of {shown}, "
            f"must be (n,) int32, int32, uint8 and uint8"
        )


def _check_map(labels: NDArray[Any]) -> None:
    if labels.ndim != 2 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"label map has shape {labels.shape} and dtype {labels.dtype}, "
            "must be (H, W), not empty, of integers"
        )


def _raw_ids(labels: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """The map as C-contiguous native uint8 or uint16."""
    _check_map(labels)
    if labels.dtype in (np.dtype(np.uint8), np.dtype(np.uint16)):
        return np.ascontiguousarray(labels)
    if labels.min() < 0 or labels.max() > 65535:
        raise ValueError(f"raw ids must lie in 0..65535, got {labels.min()}..{labels.max()}")
    return labels.astype(np.uint16, order="C")


def _target_table(targets: Iterable[int]) -> NDArray[np.bool_]:
    """(256,) whether a train id is a target."""
    table = np.zeros(256, bool)
    for target in targets:
        if not 0 <= target < UNKNOWN:
            raise ValueError(f"target {target} is no train id: those of classes lie in 0..{UNKNOWN - 1}")
        table[whole("target", target, 0)] = True
    return table
