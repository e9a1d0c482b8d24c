"""Triton kernels that draw the triangles of sampling grids, as `pipeline.geometry._triangles` does on a CPU.

Vertices are in pixels, in double precision, and every operation is the compiled loop's, in its order and
without fused products, so that the same triangle lies over each pixel. Triangles come in the order of
drawing: where several cover a pixel, the one with the largest number is kept, by an atomic maximum.

Arrays have a batch B in front and are contiguous: `ys`, `xs` and `corners` (B, triangles, 3), `winner`
(B, height, width) of int32.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators, allow-incomplete-defs

import triton
import triton.language as tl


@triton.jit
def average_rows(
    images,
    edges,
    out,
    rows,
    size,
    batch_step,
    plane_step,
    row_step,
    col_step,
    planes,
    PRECISION: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """Means over the boxes of each row, rounded as `pipeline.geometry.boxes` does, of uint8 images.

    `edges` (2, size) are the first column of each box and the one behind its last, at most `COLS` apart;
    `out` is (batch * planes, rows, size).
    """
    box, plane = tl.program_id(1), tl.program_id(2)
    begin, end = tl.load(edges + box), tl.load(edges + size + box)
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    col = begin + tl.arange(0, COLS)
    start = (plane // planes).to(tl.int64) * batch_step + (plane % planes).to(tl.int64) * plane_step
    pixel = images + start + row[:, None].to(tl.int64) * row_step + col[None, :].to(tl.int64) * col_step
    values = tl.load(pixel, mask=(row < rows)[:, None] & (col < end)[None, :], other=0)
    total = tl.sum(values.to(tl.int32), axis=1)
    share = (0.5 + (1 << PRECISION) / (end - begin).to(tl.float64)).to(tl.int32)
    means = (total * share + (1 << (PRECISION - 1))) >> PRECISION
    place = out + (plane.to(tl.int64) * rows + row) * size + box
    tl.store(place, means.to(tl.uint8), mask=row < rows)


@triton.jit
def _row_below(y, height):
    """The first row whose cut has a vertex at y above it; `height` when there is none."""
    return tl.where(y >= height - 1, height, tl.ceil(y).to(tl.int32))


@triton.jit
def _pick(k, a, b, c):
    return tl.where(k == 0, a, tl.where(k == 1, b, c))


@triton.jit
def _crossing(row, upper, lower, y0, y1, y2, x0, x1, x2):
    """Where a row cuts the edge between two corners: the lower one's weight, and x."""
    top, left = _pick(upper, y0, y1, y2), _pick(upper, x0, x1, x2)
    extent = _pick(lower, y0, y1, y2) - top
    share = (row.to(tl.float64) - top) / tl.where(extent == 0, 1.0, extent)
    return share, left + share * (_pick(lower, x0, x1, x2) - left)


@triton.jit
def _cut(row, height, y0, y1, y2, x0, x1, x2):
    """Cut triangles by rows.

    Returns x of both cut edges, then of each its upper and lower corner, and the weight of the lower one.
    """
    above0, above1 = row >= _row_below(y0, height), row >= _row_below(y1, height)
    above2 = row >= _row_below(y2, height)
    upward = above0.to(tl.int32) + above1.to(tl.int32) + above2.to(tl.int32) == 1
    lone = tl.where(above0 == upward, 0, tl.where(above1 == upward, 1, 2))
    enter = (lone + tl.where(upward, 2, 1)) % 3
    leave = (lone + tl.where(upward, 1, 2)) % 3
    upper, lower = tl.where(upward, lone, enter), tl.where(upward, enter, lone)
    share, start = _crossing(row, upper, lower, y0, y1, y2, x0, x1, x2)
    over, under = tl.where(upward, lone, leave), tl.where(upward, leave, lone)
    part, end = _crossing(row, over, under, y0, y1, y2, x0, x1, x2)
    return start, end, upper, lower, share, over, under, part


@triton.jit
def draw(
    ys,
    xs,
    winner,
    triangles,
    height,
    width,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
    PARTS: tl.constexpr,
):
    """The last triangle over every pixel. One program for each triangle and each of `PARTS` of its rows."""
    triangle, batch = tl.program_id(0), tl.program_id(2).to(tl.int64)
    place = (batch * triangles + triangle) * 3
    y0, y1, y2 = tl.load(ys + place), tl.load(ys + place + 1), tl.load(ys + place + 2)
    x0, x1, x2 = tl.load(xs + place), tl.load(xs + place + 1), tl.load(xs + place + 2)
    below0, below1, below2 = _row_below(y0, height), _row_below(y1, height), _row_below(y2, height)
    begin = tl.minimum(tl.minimum(below0, below1), below2)
    stop = tl.maximum(tl.maximum(below0, below1), below2)
    picture = winner + batch * height * width
    for top in range(begin + tl.program_id(1) * ROWS, stop, PARTS * ROWS):
        row = top + tl.arange(0, ROWS)
        start, end, _u, _l, _s, _o, _v, _p = _cut(row, height, y0, y1, y2, x0, x1, x2)
        first = tl.maximum(tl.ceil(start).to(tl.int32), 0)
        last = tl.where(row < stop, tl.minimum(tl.floor(end).to(tl.int32), width - 1), -1)
        longest = tl.max(last - first + 1, axis=0)
        for offset in range(0, longest, COLS):
            col = first[:, None] + offset + tl.arange(0, COLS)[None, :]
            pixel = picture + row[:, None].to(tl.int64) * width + col
            tl.atomic_max(pixel, triangle + tl.zeros_like(col), mask=col <= last[:, None], sem="relaxed")


@triton.jit
def _corners(corners, winner, batch, triangles, height, width, row, col):
    """Of the triangles over pixels: where they stand in the arrays, and their corners in the grid."""
    inside = (row < height) & (col < width)
    pixel = winner + batch * height * width + row.to(tl.int64) * width + col
    place = (batch * triangles + tl.maximum(tl.load(pixel, mask=inside, other=0), 0)) * 3
    a, b, c = tl.load(corners + place), tl.load(corners + place + 1), tl.load(corners + place + 2)
    return inside, place, a, b, c


@triton.jit
def _weights(ys, xs, place, height, row, col, NARROW: tl.constexpr):
    """Barycentric weights of the corners, by the operations of the compiled loop."""
    y0, y1, y2 = tl.load(ys + place), tl.load(ys + place + 1), tl.load(ys + place + 2)
    x0, x1, x2 = tl.load(xs + place), tl.load(xs + place + 1), tl.load(xs + place + 2)
    start, end, upper, lower, share, over, under, part = _cut(row, height, y0, y1, y2, x0, x1, x2)
    extent, first = end - start, tl.ceil(start)
    wide = extent > NARROW
    scale = tl.where(wide, 1.0 / tl.where(extent == 0, 1.0, extent), 0.0)
    ahead = first - start
    thin = tl.where(extent > 0, ahead / tl.where(extent == 0, 1.0, extent), 0.0)
    along = tl.where(wide, ahead * scale, thin)
    beyond = col.to(tl.float64) - first
    w0 = _along(0, upper, lower, share, over, under, part, along, scale, beyond)
    w1 = _along(1, upper, lower, share, over, under, part, along, scale, beyond)
    w2 = _along(2, upper, lower, share, over, under, part, along, scale, beyond)
    return w0, w1, w2


@triton.jit
def _along(
    k: tl.constexpr,
    upper,
    lower,
    share,
    over,
    under,
    part,
    along,
    scale,
    beyond,
):
    """The weight of one corner, from its weights where the row enters and leaves the triangle."""
    enter = tl.where(upper == k, 1.0 - share, tl.where(lower == k, share, 0.0))
    leave = tl.where(over == k, 1.0 - part, tl.where(under == k, part, 0.0))
    step = leave - enter
    return enter + along * step + beyond * (step * scale)


@triton.jit
def label(
    ys,
    xs,
    corners,
    winner,
    values,
    best,
    out,
    triangles,
    points,
    classes,
    height,
    width,
    NARROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """The arg max at the pixels of a tile, of scores `values` (B, points, classes).

    `best` (B, points) of int32 is theirs at the points: where a triangle's are the same, so is every pixel's.
    """
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.program_id(0) * COLS + tl.arange(0, COLS)[None, :]
    batch = tl.program_id(2).to(tl.int64)
    inside, place, a, b, c = _corners(corners, winner, batch, triangles, height, width, row, col)
    here = best + batch * points
    chosen = tl.load(here + a)
    mixed = ((chosen != tl.load(here + b)) | (chosen != tl.load(here + c))) & inside
    if tl.max(tl.max(mixed.to(tl.int32), axis=1), axis=0) > 0:
        w0, w1, w2 = _weights(ys, xs, place, height, row, col, NARROW)
        w0, w1, w2 = (
            w0.to(values.dtype.element_ty),
            w1.to(values.dtype.element_ty),
            w2.to(values.dtype.element_ty),
        )
        scores = values + batch * points * classes
        one, two, three = scores + a * classes, scores + b * classes, scores + c * classes
        largest = tl.load(one) * w0 + tl.load(two) * w1 + tl.load(three) * w2
        found = tl.zeros_like(chosen)
        for k in range(1, classes):
            score = tl.load(one + k) * w0 + tl.load(two + k) * w1 + tl.load(three + k) * w2
            found = tl.where(score > largest, k, found)
            largest = tl.maximum(score, largest)
        chosen = tl.where(mixed, found, chosen)
    pixel = out + batch * height * width + row.to(tl.int64) * width + col
    tl.store(pixel, chosen.to(tl.uint8), mask=inside)


@triton.jit
def score(
    ys,
    xs,
    corners,
    winner,
    values,
    out,
    triangles,
    points,
    classes,
    height,
    width,
    NARROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """The scores (B, classes, height, width) of a tile, of `values` (B, points, classes)."""
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.program_id(0) * COLS + tl.arange(0, COLS)[None, :]
    batch = tl.program_id(2).to(tl.int64)
    inside, place, a, b, c = _corners(corners, winner, batch, triangles, height, width, row, col)
    w0, w1, w2 = _weights(ys, xs, place, height, row, col, NARROW)
    w0, w1, w2 = (
        w0.to(values.dtype.element_ty),
        w1.to(values.dtype.element_ty),
        w2.to(values.dtype.element_ty),
    )
    scores = values + batch * points * classes
    one, two, three = scores + a * classes, scores + b * classes, scores + c * classes
    area = height.to(tl.int64) * width
    pixel = out + batch * classes * area + row.to(tl.int64) * width + col
    for k in range(classes):
        mean = tl.load(one + k) * w0 + tl.load(two + k) * w1 + tl.load(three + k) * w2
        tl.store(pixel + k * area, mean, mask=inside)


@triton.jit
def weigh(
    ys,
    xs,
    corners,
    winner,
    vertices,
    weights,
    triangles,
    height,
    width,
    NARROW: tl.constexpr,
    ROWS: tl.constexpr,
    COLS: tl.constexpr,
):
    """The corners (B, 3, height, width) of the triangle over the pixels of a tile, and their weights."""
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)[:, None]
    col = tl.program_id(0) * COLS + tl.arange(0, COLS)[None, :]
    batch = tl.program_id(2).to(tl.int64)
    inside, place, a, b, c = _corners(corners, winner, batch, triangles, height, width, row, col)
    w0, w1, w2 = _weights(ys, xs, place, height, row, col, NARROW)
    area = height.to(tl.int64) * width
    pixel = batch * 3 * area + row.to(tl.int64) * width + col
    tl.store(vertices + pixel, a.to(tl.int64), mask=inside)
    tl.store(vertices + pixel + area, b.to(tl.int64), mask=inside)
    tl.store(vertices + pixel + 2 * area, c.to(tl.int64), mask=inside)
    kind = weights.dtype.element_ty
    tl.store(weights + pixel, w0.to(kind), mask=inside)
    tl.store(weights + pixel + area, w1.to(kind), mask=inside)
    tl.store(weights + pixel + 2 * area, w2.to(kind), mask=inside)
