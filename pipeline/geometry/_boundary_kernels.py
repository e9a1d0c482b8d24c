"""Compiled loops over label maps, boundary pixels and packed boundary maps.

Edges are rare but scattered, so that a branch on each of them costs more than the work behind it. The
loops therefore write every candidate and count on only when it stays.
"""

import sys
from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pixels = tuple[Array, Array, Array, Array]

UNKNOWN = 254
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8


def _places(bitorder: Literal["big", "little"]) -> NDArray[np.int32]:
    """(256, 8) which of the 8 bits are set, in ascending order and before all others, for each byte."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder=bitorder)
    return np.argsort(1 - bits, axis=1, kind="stable").astype(np.int32)


_BYTES = _places(sys.byteorder)  # of a word, by `_byte_mask`
_PIXELS = _places("big")  # of a packed byte
_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int32)


@numba.njit(nogil=True, cache=True)
def _byte_mask(word: int) -> int:
    """One bit for each byte of a word whose bytes are 0 or 1: the product moves them all to the top."""
    return int((np.uint64(word) * np.uint64(0x0102040810204080)) >> np.uint64(56))


@numba.njit(nogil=True, cache=True)
def _mark_inner(here: Array, up: Array, down: Array, left: Array, right: Array, marks: Array) -> None:
    """1 where a pixel's id is not that of all 4 neighbours; has no branches, so that it vectorises."""
    for c in range(here.size):
        value = here[c]
        marks[c] = ((value ^ up[c]) | (value ^ down[c]) | (value ^ left[c]) | (value ^ right[c])) != 0


@numba.njit(nogil=True, cache=True)
def _mark_row(here: Array, up: Array, down: Array, marks: Array) -> None:
    """The same for a whole row, whose ends have one neighbour fewer."""
    width = here.size
    last = width - 1
    _mark_inner(here[1:last], up[1:last], down[1:last], here[: width - 2], here[2:], marks[1:last])
    for c, beside in ((0, min(1, last)), (last, max(last - 1, 0))):
        marks[c] = (here[c] != up[c]) | (here[c] != down[c]) | (here[c] != here[beside])


@numba.njit(nogil=True, cache=True)
def mark(labels: Array, target: Array) -> Array:
    """(H, W) uint8, 1 on the target boundary of a map of train ids (H, W); `target` is (256,) bool."""
    height, width = labels.shape
    marks = np.empty((height, width), np.uint8)
    for r in range(height):
        here, row = labels[r], marks[r]
        _mark_row(here, labels[max(r - 1, 0)], labels[min(r + 1, height - 1)], row)
        for c in range(width):
            if row[c]:
                row[c] = 0 <= here[c] < target.size and target[here[c]]
    return marks


@numba.njit(nogil=True, cache=True)
def _nonzero(values: Array, found: Array) -> int:
    """Places of the values other than 0 into `found`, which has one entry to spare; returns how many."""
    count = 0
    for k in range(values.size):
        found[count] = k
        count += values[k] != 0
    return count


@numba.njit(nogil=True, cache=True)
def _marked_columns(words: Array, hits: Array, columns: Array) -> int:
    """Columns of the marks, ascending, into `columns`; returns how many. `words` are 8 marks each."""
    found = 0
    for k in range(_nonzero(words, hits)):
        mask = _byte_mask(words[hits[k]])
        for j in range(8):
            columns[found + j] = 8 * hits[k] + _BYTES[mask, j]
        found += _COUNTS[mask]
    return found


@numba.njit(nogil=True, cache=True)
def _keep_targets(here: Array, lut: Array, target: Array, columns: Array, count: int, unknown: Array) -> int:
    """Drop the columns of other classes, note unknown ids; returns how many columns stay."""
    kept = 0
    for k in range(count):
        c = columns[k]
        own = lut[here[c]]
        if own == UNKNOWN:
            unknown[here[c]] = True
        columns[kept] = c
        kept += target[own]
    return kept


@numba.njit(nogil=True, cache=True)
def _flag(here: Array, up: Array, down: Array, lut: Array, c: int) -> int:
    """Which neighbours of a pixel have another train id; beyond the map's edge stands the pixel itself."""
    own = lut[here[c]]
    left, right = here[max(c - 1, 0)], here[min(c + 1, here.size - 1)]
    vertical = UP * (lut[up[c]] != own) | DOWN * (lut[down[c]] != own)
    return int(vertical | LEFT * (lut[left] != own) | RIGHT * (lut[right] != own))


@numba.njit(nogil=True, cache=True)
def _longer(array: Array, size: int) -> Array:
    """A copy with room for `size` entries."""
    grown = np.empty(size, array.dtype)
    for k in range(array.size):  # what would say that a slice does not fit takes two seconds to compile
        grown[k] = array[k]
    return grown


@numba.njit(nogil=True, cache=True)
def find(labels: Array, lut: Array, target: Array) -> tuple[Array, Array, Array, Array, Array]:
    """Target boundary pixels of a map of raw ids, and which unknown ids it holds.

    Raw ids are compared a row at a time, the differences looked for 8 pixels at a time, and only where there
    are any are ids mapped. No unknown id escapes: its regions have an edge, unless one fills the map,
    which the first pixel tells.

    Parameters
    ----------
    labels
        (H, W) uint8 or uint16.
    lut
        (65536,) uint8, raw id -> train id.
    target
        (256,) bool, by train id.

    Returns
    -------
    rows int32, cols int32, classes uint8, flags uint8, each (n,), and (65536,) bool by raw id.
    """
    height, width = labels.shape
    marks = np.zeros(-(-width // 8) * 8, np.uint8)
    words = np.frombuffer(marks, np.uint64)
    hits = np.empty(words.size + 1, np.int32)
    columns = np.empty(marks.size + 8, np.int32)
    unknown = np.zeros(65536, np.bool_)
    unknown[labels[0, 0]] = lut[labels[0, 0]] == UNKNOWN
    rows, cols = np.empty(width, np.int32), np.empty(width, np.int32)
    classes, flags = np.empty(width, np.uint8), np.empty(width, np.uint8)
    n = 0
    for r in range(height):
        if n + width > rows.size:
            size = 2 * rows.size + width
            rows, cols = _longer(rows, size), _longer(cols, size)
            classes, flags = _longer(classes, size), _longer(flags, size)
        here, up, down = labels[r], labels[max(r - 1, 0)], labels[min(r + 1, height - 1)]
        _mark_row(here, up, down, marks)
        count = _marked_columns(words, hits, columns)
        for k in range(_keep_targets(here, lut, target, columns, count, unknown)):
            c = columns[k]
            flag = _flag(here, up, down, lut, c)
            rows[n], cols[n], classes[n], flags[n] = r, c, lut[here[c]], flag
            n += flag != 0
    return rows[:n].copy(), cols[:n].copy(), classes[:n].copy(), flags[:n].copy(), unknown


@numba.njit(nogil=True, cache=True)
def crop(rows: Array, cols: Array, classes: Array, flags: Array, top: int, left: int, side: int) -> Pixels:
    """Boundary pixels of a crop, relative to its corner: neighbours outside do not count."""
    n = rows.size
    out_rows, out_cols = np.empty(n, np.int32), np.empty(n, np.int32)
    out_classes, out_flags = np.empty(n, np.uint8), np.empty(n, np.uint8)
    last = side - 1
    kept = 0
    for k in range(n):
        r, c = rows[k] - top, cols[k] - left
        if r < 0 or r > last or c < 0 or c > last:
            continue
        hidden = 0
        if r == 0:
            hidden |= UP
        if r == last:
            hidden |= DOWN
        if c == 0:
            hidden |= LEFT
        if c == last:
            hidden |= RIGHT
        flag = flags[k] & ~hidden
        if flag:
            out_rows[kept], out_cols[kept] = r, c
            out_classes[kept], out_flags[kept] = classes[k], flag
            kept += 1
    return out_rows[:kept].copy(), out_cols[:kept].copy(), out_classes[:kept].copy(), out_flags[:kept].copy()


@numba.njit(nogil=True, cache=True)
def pack(rows: Array, cols: Array, flags: Array, before: int, after: int, planes: Array) -> None:
    """Set the bits of the pixels in two zeroed planes (2, H, ceil(W / 8)), see `boundaries.pack`."""
    for k in range(rows.size):
        r, byte = rows[k], cols[k] >> 3
        bit = np.uint8(0x80 >> (cols[k] & 7))
        if flags[k] & ~after:
            planes[0, r, byte] |= bit
        if flags[k] & ~before:
            planes[1, r, byte] |= bit


@numba.njit(nogil=True, cache=True)
def unpack(planes: Array, before: int, after: int) -> tuple[Array, Array, Array]:
    """Rows, columns and equivalent flags of the set bits, in row-major order, see `boundaries.unpack`."""
    _, height, length = planes.shape
    either = np.zeros(-(-length // 8) * 8, np.uint8)
    words = np.frombuffer(either, np.uint64)
    hits = np.empty(words.size + 1, np.int32)
    room = 64 * words.size + 8
    rows, cols, flags = np.empty(room, np.int32), np.empty(room, np.int32), np.empty(room, np.uint8)
    n = 0
    for r in range(height):
        if n + room > rows.size:
            size = 2 * rows.size + room
            rows, cols, flags = _longer(rows, size), _longer(cols, size), _longer(flags, size)
        first, second = planes[0, r], planes[1, r]
        for byte in range(length):
            either[byte] = first[byte] | second[byte]
        for k in range(_nonzero(words, hits)):
            for byte in range(8 * hits[k], min(8 * hits[k] + 8, length)):
                bits = either[byte]
                for j in range(_COUNTS[bits]):
                    place = _PIXELS[bits, j]
                    one, other = (first[byte] >> (7 - place)) & 1, (second[byte] >> (7 - place)) & 1
                    rows[n], cols[n], flags[n] = r, 8 * byte + place, before * one | after * other
                    n += 1
    return rows[:n].copy(), cols[:n].copy(), flags[:n].copy()
