"""Compiled loops over label maps, boundary pixels and packed boundary maps.

Edges are rare but scattered, so that a branch on each of them costs more than the work behind it. The
loops therefore write every candidate and count on only when it stays.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import LENGTH, differing, lowest

COMPILED_WITH = {"pipeline.geometry.masks": "1e529d8b4be5d3ca"}
"""Digests of what these loops are compiled from besides this file. Numba compiles them anew where this file
has changed and looks at no other; tests/geometry/test_compiled.py says what to write here."""

Array = NDArray[Any]
Pixels = tuple[Array, Array, Array, Array]

UNKNOWN = 254
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
ONE, ALL = np.uint64(1), np.uint64(2**64 - 1)


def _places() -> NDArray[np.int32]:
    """(256, 8) which bits of a packed byte are set, in ascending order and before all others."""
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    return np.argsort(1 - bits, axis=1, kind="stable").astype(np.int32)


_PIXELS = _places()
_COUNTS = np.array([byte.bit_count() for byte in range(256)], np.int32)


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


@numba.njit(nogil=True, cache=True, forceinline=True)
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


@numba.njit(nogil=True, cache=True, forceinline=True)
def _changed_targets(
    here: Array, down: Array, above: Array, lut: Array, target: Array, unknown: Array, columns: Array
) -> int:
    """Columns of a row with an id of a target class that is not that of all 4 neighbours.

    Parameters
    ----------
    here, down
        (W,) the row and the one below it.
    above
        (ceil(W / 64),) uint64, a bit for each column, set where the row above differs from `here`; then it is
        the same of `here` and `down`, as the next row needs it.
    lut, target, unknown
        As of `find`.
    columns
        Room for W; the first are set, ascending.

    Returns
    -------
    How many there are.
    """
    width = here.size
    blocks = (width - 1) // LENGTH  # of which every pixel has a right neighbour
    found = 0
    beside = np.uint64(0)  # whether the last pixel before a block differs from the first of it
    for k in range(blocks):
        start = np.uintp(LENGTH * k)
        below = differing(here, start, down, start)
        across = differing(here, start, here, np.uintp(start + np.uintp(1)))
        marks = above[k] | below | across | (across << ONE) | beside
        beside, above[k] = across >> np.uint64(LENGTH - 1), below
        if marks:
            found = _list_targets(marks, across, here, LENGTH * k, lut, target, unknown, columns, found)
    below, across = _last_words(here, down, LENGTH * blocks)
    marks = above[blocks] | below | across | (across << ONE) | beside
    above[blocks] = below
    return int(_list_targets(marks, across, here, LENGTH * blocks, lut, target, unknown, columns, found))


@numba.njit(nogil=True, cache=True, forceinline=True)
def _list_targets(
    marks: Any,
    across: Any,
    here: Array,
    first: int,
    lut: Array,
    target: Array,
    unknown: Array,
    columns: Array,
    found: int,
) -> int:
    """Add the marked pixels of target classes to the columns; `first` is the column of the lowest bit.

    Pixels between two bits of `across` have one id, which is looked up once.
    """
    while marks:
        c = lowest(marks)
        ends = across & (ALL << np.uint64(c))
        run = marks & (ends ^ (ends - ONE))
        marks ^= run
        value = here[first + c]
        own = lut[value]
        if own == UNKNOWN:
            unknown[value] = True
        if target[own]:
            while run:
                columns[found] = first + lowest(run)
                found += 1
                run &= run - ONE
    return found


@numba.njit(nogil=True, cache=True, forceinline=True)
def _last_words(here: Array, down: Array, start: int) -> tuple[Any, Any]:
    """Where a row's last pixels (at most 64, from `start` on) differ from those below and to the right."""
    width = here.size
    if width > LENGTH:  # read with pixels before `start`, which are shifted out again
        spare = np.uint64(start - (width - LENGTH))
        below = differing(here, np.uintp(width - LENGTH), down, np.uintp(width - LENGTH)) >> spare
        across = differing(here, np.uintp(width - LENGTH - 1), here, np.uintp(width - LENGTH)) >> spare
        return below, across >> ONE
    below = across = np.uint64(0)
    for c in range(width):
        below |= np.uint64(here[c] != down[c]) << np.uint64(c)
        across |= np.uint64(here[c] != here[min(c + 1, width - 1)]) << np.uint64(c)
    return below, across


@numba.njit(nogil=True, cache=True)
def find(
    before: Array,
    strip: Array,
    top: int,
    ends: bool,
    lut: Array,
    target: Array,
    unknown: Array,
    pixels: Pixels,
    count: int,
) -> tuple[Pixels, int]:
    """Target boundary pixels of a map of raw ids that comes strip by strip, and which unknown ids it holds.

    Raw ids are compared 64 at a time, and only where they differ are they mapped. No unknown id escapes: its
    regions have an edge, unless one fills the map, which the caller tells from the first pixel. A strip's
    last row waits for the next strip, unless the map ends.

    Parameters
    ----------
    before
        (2, W) the two rows before the strip, as far as there are any.
    strip
        (N, W) uint8 or uint16; N may be 0 where the map ends.
    top
        Rows before the strip.
    ends
        Whether the map ends with the strip.
    lut
        (65536,) uint8, raw id -> train id.
    target
        (256,) bool, by train id.
    unknown
        (65536,) bool by raw id, is set.
    pixels
        Rows int32, columns int32, classes uint8, flags uint8 of what has been found before: the first
        `count` of each are.

    Returns
    -------
    `pixels`, or longer copies, and how many there are in them now.
    """
    rows, cols, classes, flags = pixels
    height, width = strip.shape
    above = np.zeros((width - 1) // LENGTH + 1, np.uint64)
    columns = np.empty(width, np.int32)
    n = count
    first = -1 if top else 0
    for r in range(first, height if ends else height - 1):
        if n + width > rows.size:
            size = 2 * rows.size + width
            rows, cols = _longer(rows, size), _longer(cols, size)
            classes, flags = _longer(classes, size), _longer(flags, size)
        here = strip[r] if r >= 0 else before[1]
        up = here if top + r == 0 else (strip[r - 1] if r > 0 else before[1 + r])
        down = strip[r + 1] if r + 1 < height else here
        if r == first:
            _changed_targets(up, here, above, lut, target, unknown, columns)
        for k in range(_changed_targets(here, down, above, lut, target, unknown, columns)):
            c = columns[k]
            flag = _flag(here, up, down, lut, c)
            rows[n], cols[n], classes[n], flags[n] = top + r, c, lut[here[c]], flag
            n += flag != 0
    return (rows, cols, classes, flags), n


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
