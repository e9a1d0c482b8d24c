"""Compiled loops that draw the triangles of a sampling grid on the pixels of a crop, row by row.

Vertices are in pixels, y down and x to the right; a triangle's corners go clockwise on the screen, unless a
fold turned it over (a *reversed* triangle). Pixel row r cuts the edges that join a vertex with y <= r to one
with y > r; in the last row, y < r to y >= r. A triangle has two cut edges or none. Between them lies its
*span* of the row, which runs forward or, in a reversed triangle, backward. Forward spans are drawn, both
ends included; backward ones are not.

They leave no pixel out, whatever the folds and the rounding. The grid's upper side lies above the cut and
its lower side below, so, as in the game of Hex, a chain of cut edges leads from the left side (x = 0) to the
right side (x = width - 1) with the vertices above the cut on its left. Neighbouring spans of the chain share
a cut edge and so its very x, computed from the same numbers in both. A chain that starts at 0 and ends at
width - 1 passes every column in between in the forward direction at least once.

Triangles are drawn one over another: where several cover a pixel the last one stays.
"""

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

MIXED = -1  # label of a triangle whose corners differ
NARROW = 1e-9  # pixels between cut edges, below which one over them is no use
CAPACITY = 4096  # pixels weighed at once, unless a row is longer

compiled = numba.njit(nogil=True, cache=True, error_model="numpy")


@compiled
def first_row_below(y: float, height: int) -> int:
    """The first row whose cut has a vertex at y above it; `height` when there is none."""
    return height if y >= height - 1 else math.ceil(y)


@compiled
def _spans(y: Array, x: Array, corners: Array, height: int, where: Array, along: Array) -> int:
    """Forward spans of one triangle that hold a pixel; returns how many.

    ``where[n]`` is row, first and last column; ``along[n]`` the x of the two cut edges, then the weights of
    the three corners at the first cut edge, then at the second.
    """
    ys = (y[corners[0]], y[corners[1]], y[corners[2]])
    xs = (x[corners[0]], x[corners[1]], x[corners[2]])
    top, bottom = 0, 0
    for k in range(1, 3):
        if ys[k] < ys[top]:
            top = k
        if ys[k] >= ys[bottom]:
            bottom = k
    begin = first_row_below(ys[top], height)
    turn = first_row_below(ys[3 - top - bottom], height)
    end = first_row_below(ys[bottom], height)
    # One corner is alone on its side of the cut: first the upper one, then the lower one.
    count = _cut(ys, xs, (top, (top + 2) % 3, top, (top + 1) % 3), begin, turn, 0, where, along)
    edges = ((bottom + 1) % 3, bottom, (bottom + 2) % 3, bottom)
    return int(_cut(ys, xs, edges, max(begin, turn), end, count, where, along))


@compiled
def _cut(
    ys: tuple[float, float, float],
    xs: tuple[float, float, float],
    edges: tuple[int, int, int, int],
    begin: int,
    end: int,
    count: int,
    where: Array,
    along: Array,
) -> int:
    """Append the spans of the rows that cut the same two edges.

    ``edges`` are the upper and the lower corner of the edge by which a row enters, and of that by which it
    leaves. Both triangles at an edge compute its x from the upper one.
    """
    over, under, above, below = edges
    y_enter, x_enter, y_leave, x_leave = ys[over], xs[over], ys[above], xs[above]
    down_enter, right_enter = ys[under] - y_enter, xs[under] - x_enter
    down_leave, right_leave = ys[below] - y_leave, xs[below] - x_leave
    for row in range(begin, end):
        s, t = (row - y_enter) / down_enter, (row - y_leave) / down_leave
        start, stop = x_enter + s * right_enter, x_leave + t * right_leave
        first, last = math.ceil(start), math.floor(stop)
        if first <= last:
            here, line = where[np.uintp(count)], along[np.uintp(count)]
            here[0], here[1], here[2] = row, first, last
            line[0], line[1] = start, stop
            line[np.uintp(5 - over - under)], line[np.uintp(8 - above - below)] = 0, 0
            line[np.uintp(2 + over)], line[np.uintp(2 + under)] = 1 - s, s
            line[np.uintp(5 + above)], line[np.uintp(5 + below)] = 1 - t, t
            count += 1
    return count


@compiled
def _share(start: float, end: float, col: int) -> float:
    """How far a column lies from one cut edge to the other, 0 to 1, however near they are to each other."""
    extent = end - start
    if extent > NARROW:
        return (col - start) * (1 / extent)
    return (col - start) / extent if extent > 0 else 0.0


@compiled
def _weigh(where: Array, along: Array, begin: int, count: int, weights: Array) -> tuple[int, int]:
    """Weights (3, capacity) of the corners at the pixels of as many spans as fit, from span `begin` on.

    Returns the first span left out and the number of pixels.
    """
    pixels = 0
    for n in range(begin, count):
        first, length = where[n, 1], where[n, 2] - where[n, 1] + 1
        if pixels + length > weights.shape[1]:
            return n, pixels
        extent = along[n, 1] - along[n, 0]
        scale = 1 / extent if extent > NARROW else 0.0  # narrower spans hold one pixel
        t = _share(along[n, 0], along[n, 1], first)
        step0, step1, step2 = along[n, 5] - along[n, 2], along[n, 6] - along[n, 3], along[n, 7] - along[n, 4]
        w0, w1, w2 = along[n, 2] + t * step0, along[n, 3] + t * step1, along[n, 4] + t * step2
        for i in range(length):
            p = np.uintp(pixels + i)
            weights[0, p] = w0 + i * (step0 * scale)
            weights[1, p] = w1 + i * (step1 * scale)
            weights[2, p] = w2 + i * (step2 * scale)
        pixels += length
    return count, pixels


@compiled
def fill_columns(line: Array, begin: int, end: int, label: int) -> None:
    """Fill ``line[begin:end]``. Unsigned indices need no look at their sign, which would forbid a memset."""
    value = line.dtype.type(label)
    for col in range(begin, end):
        line[np.uintp(col)] = value


@compiled
def _fill(out: Array, where: Array, count: int, label: int) -> None:
    for n in range(count):
        fill_columns(out[where[n, 0]], where[n, 1], where[n, 2] + 1, label)


@compiled
def _copy(out: Array, where: Array, begin: int, end: int, values: Array) -> None:
    """Lay out the values of consecutive pixels on the spans they belong to."""
    p = 0
    for n in range(begin, end):
        line = out[where[n, 0]]
        first, length = where[n, 1], where[n, 2] - where[n, 1] + 1
        for i in range(length):
            line[np.uintp(first + i)] = values[np.uintp(p + i)]
        p += length


@compiled
def _contenders(scores: Array, winners: Array, corners: Array, labels: Array, values: Array) -> int:
    """Classes that may win inside a triangle: those that no corner's winner exceeds at all three corners."""
    a, b, c = scores[corners[0]], scores[corners[1]], scores[corners[2]]
    i, j, k = winners[corners[0]], winners[corners[1]], winners[corners[2]]
    i0, i1, i2 = a[i], b[i], c[i]
    j0, j1, j2 = a[j], b[j], c[j]
    k0, k1, k2 = a[k], b[k], c[k]
    count = 0
    for label in range(scores.shape[1]):
        s0, s1, s2 = a[label], b[label], c[label]
        labels[count] = label
        values[count, 0], values[count, 1], values[count, 2] = s0, s1, s2
        beaten = (i0 > s0) & (i1 > s1) & (i2 > s2)
        beaten |= (j0 > s0) & (j1 > s1) & (j2 > s2)
        beaten |= (k0 > s0) & (k1 > s1) & (k2 > s2)
        count += not beaten
    return count


@compiled
def _present(samples: Array, void: int, corners: Array, labels: Array, values: Array) -> int:
    """Labels at the corners in ascending order, each with score 1 where it stands; void ones left out."""
    count = 0
    for k in range(3):
        label = samples[corners[k]]
        place = 0
        while place < count and labels[place] < label:
            place += 1
        if label == void or (place < count and labels[place] == label):
            continue
        for n in range(count, place, -1):
            labels[n] = labels[n - 1]
        labels[place] = label
        count += 1
    for n in range(count):
        for k in range(3):
            values[n, k] = samples[corners[k]] == labels[n]
    return count


@compiled
def _largest(
    labels: Array, values: Array, count: int, weights: Array, pixels: int, best: Array, chosen: Array
) -> None:
    """At every pixel, the label whose score is largest, the first of equal ones."""
    w0, w1, w2 = weights[0], weights[1], weights[2]
    label, s0, s1, s2 = labels[0], values[0, 0], values[0, 1], values[0, 2]
    for i in range(pixels):
        p = np.uintp(i)
        best[p] = s0 * w0[p] + s1 * w1[p] + s2 * w2[p]
        chosen[p] = label
    for k in range(1, count):
        label, s0, s1, s2 = labels[k], values[k, 0], values[k, 1], values[k, 2]
        for i in range(pixels):
            p = np.uintp(i)
            score, largest = s0 * w0[p] + s1 * w1[p] + s2 * w2[p], best[p]
            chosen[p] = label if score > largest else chosen[p]
            best[p] = score if score > largest else largest


@compiled
def _fill_larger(out: Array, where: Array, along: Array, count: int, labels: Array, values: Array) -> None:
    """Fill spans with the label of the larger of two scores, the first if they are equal.

    Their difference is linear along a span: it changes sign once, or not at all.
    """
    lead0, lead1, lead2 = (
        values[0, 0] - values[1, 0],
        values[0, 1] - values[1, 1],
        values[0, 2] - values[1, 2],
    )
    for n in range(count):
        row, first, last = where[n, 0], where[n, 1], where[n, 2]
        start, end = along[n, 0], along[n, 1]
        at_start = along[n, 2] * lead0 + along[n, 3] * lead1 + along[n, 4] * lead2
        at_end = along[n, 5] * lead0 + along[n, 6] * lead1 + along[n, 7] * lead2
        if at_start >= 0 and at_end >= 0:
            begin, turn = 0, last + 1
        elif at_start < 0 and at_end < 0:
            begin, turn = 1, last + 1
        elif first == last:  # the sign at the pixel: its place is too coarse where cut edges are close
            here = at_start + _share(start, end, first) * (at_end - at_start)
            begin, turn = (0, last + 1) if here >= 0 else (1, last + 1)
        else:
            sign = start + (end - start) * (at_start / (at_start - at_end))
            begin = 0 if at_start >= 0 else 1
            turn = math.floor(sign) + 1 if begin == 0 else math.ceil(sign)
            turn = min(max(turn, first), last + 1)
        fill_columns(out[row], first, turn, labels[begin])
        fill_columns(out[row], turn, last + 1, labels[1 - begin])


@compiled
def _fill_largest(
    out: Array,
    where: Array,
    along: Array,
    count: int,
    labels: Array,
    values: Array,
    candidates: int,
    weights: Array,
    best: Array,
    chosen: Array,
) -> None:
    """Fill spans with the labels of the largest scores; the last three arrays are room to work in."""
    if candidates == 2:
        _fill_larger(out, where, along, count, labels, values)
        return
    span = 0
    while span < count:
        end, pixels = _weigh(where, along, span, count, weights)
        _largest(labels, values, candidates, weights, pixels, best, chosen)
        _copy(out, where, span, end, chosen)
        span = end


@compiled
def areas(y: Array, x: Array, corners: Array) -> Array:
    """(n,) twice the signed areas in pixels, positive for triangles that lie right way up."""
    twice = np.empty(len(corners))
    for n in range(len(corners)):
        a, b, c = corners[n, 0], corners[n, 1], corners[n, 2]
        twice[n] = (x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])
    return twice


@compiled
def draw_labels(y: Array, x: Array, corners: Array, scores: Array, winners: Array, out: Array) -> None:
    """Draw the arg max of the scores (vertices, classes); `winners` is theirs at each vertex."""
    height, width = out.shape
    classes, capacity = scores.shape[1], max(width, CAPACITY)
    where, along = np.empty((height, 3), np.int64), np.empty((height, 8))
    labels, values = np.empty(classes + 1, np.uint8), np.empty((classes + 1, 3), scores.dtype)
    weights, best = np.empty((3, capacity), scores.dtype), np.empty(capacity, scores.dtype)
    chosen = np.empty(capacity, np.uint8)
    for triangle in corners:
        count = _spans(y, x, triangle, height, where, along)
        label = winners[triangle[0]]
        if label == winners[triangle[1]] and label == winners[triangle[2]]:
            _fill(out, where, count, label)
            continue
        if count:
            candidates = _contenders(scores, winners, triangle, labels, values)
            _fill_largest(out, where, along, count, labels, values, candidates, weights, best, chosen)


@compiled
def draw_label_map(y: Array, x: Array, corners: Array, samples: Array, void: int, out: Array) -> None:
    """Draw the label whose corners weigh most; void corners have no say, unless all three are void."""
    height, width = out.shape
    capacity = max(width, CAPACITY)
    where, along = np.empty((height, 3), np.int64), np.empty((height, 8))
    labels, values = np.empty(3, np.uint8), np.empty((3, 3))
    weights, best = np.empty((3, capacity)), np.empty(capacity)
    chosen = np.empty(capacity, np.uint8)
    for triangle in corners:
        count = _spans(y, x, triangle, height, where, along)
        candidates = _present(samples, void, triangle, labels, values)
        if candidates < 2:
            _fill(out, where, count, labels[0] if candidates else void)
        else:
            _fill_largest(out, where, along, count, labels, values, candidates, weights, best, chosen)


@compiled
def draw_scores(
    y: Array, x: Array, corners: Array, scores: Array, ramp: Array, begin: int, end: int, out: Array
) -> None:
    """Draw the interpolated scores of the classes from `begin` to `end`.

    From (vertices, classes) to (classes, height, width); ``ramp`` (width,) counts columns, in their type.
    """
    height = out.shape[1]
    where, along = np.empty((height, 3), np.int64), np.empty((height, 8))
    for triangle in corners:
        count = _spans(y, x, triangle, height, where, along)
        _rise(where, along, count)
        for k in range(begin, end):
            s0, s1, s2 = scores[triangle[0], k], scores[triangle[1], k], scores[triangle[2], k]
            for n in range(count):
                line, first, length = out[k, where[n, 0]], where[n, 1], where[n, 2] - where[n, 1] + 1
                here = scores.dtype.type(s0 * along[n, 2] + s1 * along[n, 3] + s2 * along[n, 4])
                step = scores.dtype.type(s0 * along[n, 5] + s1 * along[n, 6] + s2 * along[n, 7])
                for i in range(length):
                    line[np.uintp(first + i)] = here + ramp[np.uintp(i)] * step


@compiled
def _rise(where: Array, along: Array, count: int) -> None:
    """Turn the weights at both cut edges into those at the first pixel, and what a column adds to them."""
    for n in range(count):
        extent = along[n, 1] - along[n, 0]
        scale = 1 / extent if extent > NARROW else 0.0  # narrower spans hold one pixel
        share = _share(along[n, 0], along[n, 1], where[n, 1])
        for k in range(2, 5):
            step = along[n, k + 3] - along[n, k]
            along[n, k] += share * step
            along[n, k + 3] = step * scale


@compiled
def draw_weights(y: Array, x: Array, corners: Array, vertices: Array, weights: Array) -> None:
    """Draw the corners of the triangle at every pixel and their weights, (3, height, width) each."""
    height, width = vertices.shape[1:]
    where, along = np.empty((height, 3), np.int64), np.empty((height, 8))
    buffer = np.empty((3, max(width, CAPACITY)), weights.dtype)
    for triangle in corners:
        count = _spans(y, x, triangle, height, where, along)
        for k in range(3):
            _fill(vertices[k], where, count, triangle[k])
        span = 0
        while span < count:
            end, _ = _weigh(where, along, span, count, buffer)
            for k in range(3):
                _copy(weights[k], where, span, end, buffer[k])
            span = end
