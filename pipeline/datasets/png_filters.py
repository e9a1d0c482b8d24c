"""Compiled loops that undo PNG row filters (PNG specification, section 9), without the interpreter lock."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import LENGTH, copy, count, lowest, nonzero

COMPILED_WITH = {"pipeline.geometry.masks": "1e529d8b4be5d3ca"}
"""Digests of what these loops are compiled from besides this file. Numba compiles them anew where this file
has changed and looks at no other; tests/geometry/test_compiled.py says what to write here."""

NONE, SUB, UP, AVERAGE, PAETH = range(5)

FEW = 8
"""Label maps filter to zeros nearly everywhere. Where at most this many of 64 bytes are none, they are looked
for one by one; in photographs nearly all are none."""


@numba.njit(nogil=True, cache=True)
def unfilter(filtered: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8], step: int) -> int:
    """Undo the filters of successive rows.

    Parameters
    ----------
    filtered
        (H, 1 + N) rows as decompressed: the number of the filter, then N bytes.
    above
        (N,) the row before the first, unfiltered; zeros if there is none.
    out
        (H, N) is filled.
    step
        Bytes a pixel, at least 1.

    Returns
    -------
    The first row whose filter there is none of, or -1.
    """
    for r in range(out.shape[0]):
        kind, row, target = filtered[r, 0], filtered[r, 1:], out[r]
        if kind == NONE:
            for k in range(row.size):
                target[k] = row[k]
        elif kind == SUB:
            _sub(row, target, step)
        elif kind == UP:
            for k in range(row.size):
                target[k] = row[k] + above[k]
        elif kind == AVERAGE:
            _average(row, above, target, step)
        elif kind == PAETH:
            _paeth(row, above, target, step)
        else:
            return r
        above = target
    return -1


@numba.njit(nogil=True, cache=True)
def swap_bytes(values: NDArray[np.uint16]) -> None:
    """Turn (N,) big-endian numbers into little-endian ones, in place."""
    for k in range(values.size):
        values[k] = (values[k] << 8) | (values[k] >> 8)


@numba.njit(nogil=True, cache=True)
def _sub(row: NDArray[np.uint8], out: NDArray[np.uint8], step: int) -> None:
    if step == 1:
        _add_up(row, out)
        return
    # Along zeros the last pixel repeats: once it fills a block of whole pixels, the next block of zeros is
    # the same again.
    block = LENGTH // step * step
    within = np.uint64(2**LENGTH - 1) >> np.uint64(LENGTH - block)
    start = 0
    repeats = False
    while start + LENGTH <= row.size:
        zeros = nonzero(row, np.uintp(start)) & within == 0
        if zeros and repeats:
            copy(out, np.uintp(start - block), out, np.uintp(start))
        else:
            _sub_bytes(row, out, step, start, start + block)
        repeats = zeros
        start += block
    _sub_bytes(row, out, step, start, row.size)


@numba.njit(nogil=True, cache=True)
def _add_up(row: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    """Sums from the left: of one byte a pixel the last one stays in a register."""
    total = np.uint8(0)
    end = row.size // LENGTH * LENGTH
    for start in range(0, end, LENGTH):
        if nonzero(row, np.uintp(start)):
            for k in range(start, start + LENGTH):
                total = np.uint8(total + row[np.uintp(k)])
                out[np.uintp(k)] = total
        else:
            for k in range(start, start + LENGTH):
                out[np.uintp(k)] = total
    for k in range(end, row.size):
        total = np.uint8(total + row[np.uintp(k)])
        out[np.uintp(k)] = total


@numba.njit(nogil=True, cache=True)
def _sub_bytes(row: NDArray[np.uint8], out: NDArray[np.uint8], step: int, start: int, stop: int) -> None:
    for k in range(start, min(step, stop)):
        out[k] = row[k]
    for k in range(max(start, step), stop):
        out[k] = row[k] + out[k - step]


@numba.njit(nogil=True, cache=True)
def _average(row: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8], step: int) -> None:
    for k in range(min(step, row.size)):
        out[k] = row[k] + (above[k] >> 1)
    for k in range(step, row.size):
        out[k] = row[k] + ((int(out[k - step]) + int(above[k])) >> 1)


@numba.njit(nogil=True, cache=True)
def _paeth(row: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8], step: int) -> None:
    # Where left and upper left agree, the predictor is the byte above. If the last `step` bytes equal those
    # above them, that holds for a whole run of zeros: the run is a copy of the row above.
    same = step
    block = LENGTH // step * step
    within = np.uint64(2**LENGTH - 1) >> np.uint64(LENGTH - block)
    start = 0
    while start + LENGTH <= row.size:
        bits = nonzero(row, np.uintp(start)) & within
        if count(bits) > FEW:
            same = _paeth_many(row, above, out, step, same, start, start + block)
        else:
            copy(above, np.uintp(start), out, np.uintp(start))
            if bits or same < step:
                same = _paeth_few(row, above, out, step, same, start, start + block, bits)
        start += block
    _paeth_bytes(row, above, out, step, same, start, row.size)


@numba.njit(nogil=True, cache=True)
def _paeth_many(
    row: NDArray[np.uint8],
    above: NDArray[np.uint8],
    out: NDArray[np.uint8],
    step: int,
    same: int,
    start: int,
    stop: int,
) -> int:
    """`_paeth_bytes` of whole pixels, of which few are as predicted; it need not count beyond `step`."""
    if step == 1:
        _paeth_gray(row, above, out, start, stop)
    elif step == 3:
        _paeth_colours(row, above, out, start, stop)
    else:
        return int(_paeth_bytes(row, above, out, step, same, start, stop))
    same = 0
    while same < step and out[stop - 1 - same] == above[stop - 1 - same]:
        same += 1
    return same


@numba.njit(nogil=True, cache=True)
def _paeth_gray(
    row: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8], start: int, stop: int
) -> None:
    """One by one; the bytes to the left stay in registers."""
    left = int(out[start - 1]) if start else 0
    corner = int(above[start - 1]) if start else 0
    for k in range(start, stop):
        p = np.uintp(k)
        upper = int(above[p])
        left = (int(row[p]) + _closest(left, upper, corner)) & 255
        out[p], corner = left, upper


@numba.njit(nogil=True, cache=True)
def _paeth_colours(
    row: NDArray[np.uint8], above: NDArray[np.uint8], out: NDArray[np.uint8], start: int, stop: int
) -> None:
    """Pixels of three bytes, which do not wait for each other."""
    red = green = blue = corner0 = corner1 = corner2 = 0
    if start:
        red, green, blue = int(out[start - 3]), int(out[start - 2]), int(out[start - 1])
        corner0, corner1, corner2 = int(above[start - 3]), int(above[start - 2]), int(above[start - 1])
    for k in range(start, stop, 3):
        p0, p1, p2 = np.uintp(k), np.uintp(k + 1), np.uintp(k + 2)
        upper0, upper1, upper2 = int(above[p0]), int(above[p1]), int(above[p2])
        red = (int(row[p0]) + _closest(red, upper0, corner0)) & 255
        green = (int(row[p1]) + _closest(green, upper1, corner1)) & 255
        blue = (int(row[p2]) + _closest(blue, upper2, corner2)) & 255
        out[p0], out[p1], out[p2] = red, green, blue
        corner0, corner1, corner2 = upper0, upper1, upper2


@numba.njit(nogil=True, cache=True)
def _paeth_few(
    row: NDArray[np.uint8],
    above: NDArray[np.uint8],
    out: NDArray[np.uint8],
    step: int,
    same: int,
    start: int,
    stop: int,
    bits: Any,
) -> int:
    """`_paeth_bytes` of a block that is a copy of the row above; `bits` are set where `row` is not 0."""
    place = 0
    while place < stop - start:
        if same >= step:
            rest = bits >> np.uint64(place)
            if rest == 0:
                return same
            place += lowest(rest)
        same = _paeth_bytes(row, above, out, step, same, start + place, start + place + 1)
        place += 1
    return same


@numba.njit(nogil=True, cache=True)
def _paeth_bytes(
    row: NDArray[np.uint8],
    above: NDArray[np.uint8],
    out: NDArray[np.uint8],
    step: int,
    same: int,
    start: int,
    stop: int,
) -> int:
    """One by one; how many bytes up to `stop` equal those above them, given how many did up to `start`."""
    for k in range(start, stop):
        left = int(out[k - step]) if k >= step else 0
        upper_left = int(above[k - step]) if k >= step else 0
        out[k] = row[k] + _predict(left, int(above[k]), upper_left)
        same = same + 1 if out[k] == above[k] else 0
    return same


@numba.njit(nogil=True, cache=True)
def _predict(left: int, upper: int, upper_left: int) -> int:
    if left == upper_left:  # nearly always in label maps
        return upper
    return int(_closest(left, upper, upper_left))


@numba.njit(nogil=True, cache=True)
def _closest(left: int, upper: int, upper_left: int) -> int:
    """`_predict` without branches: in photographs they cannot be foreseen."""
    down, across = upper - upper_left, left - upper_left
    to_left, to_upper, to_upper_left = abs(down), abs(across), abs(down + across)
    other = upper if to_upper <= to_upper_left else upper_left
    return left if (to_left <= to_upper) & (to_left <= to_upper_left) else other
