"""The ground: carriageway, sidewalks, kerbs, and what is painted on the road."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.mesh import Floats, Material, Mesh, quads, rgb

CURB = 0.14
"""Height of the sidewalk."""
CONCRETE = "#a9a69d"
WHITE_PAINT, YELLOW_PAINT = rgb("#dcdcd6"), rgb("#d9a62a")


def strip(
    x0: float, x1: float, z0: float, z1: float, y: float, color: str | Floats, material: Material
) -> Mesh:
    """Level ground from x0 to x1, cut along z so finely that it can follow a bend."""
    z = _cuts(z0, z1)
    a, b = z[:-1], z[1:]
    left, right, up = np.full_like(a, x0), np.full_like(a, x1), np.full_like(a, y)
    faces = np.stack(
        [np.stack(p, -1) for p in ((left, up, a), (right, up, a), (right, up, b), (left, up, b))], 1
    )
    return quads(faces, color, material)


def curb(x: float, z0: float, z1: float) -> Mesh:
    """The kerb stone's face along the road."""
    z = _cuts(z0, z1)
    a, b = z[:-1], z[1:]
    side, low, high = np.full_like(a, x), np.zeros_like(a), np.full_like(a, CURB)
    faces = np.stack(
        [np.stack(p, -1) for p in ((side, low, a), (side, low, b), (side, high, b), (side, high, a))], 1
    )
    return quads(faces, rgb(CONCRETE) * np.float32(0.9))


def line(
    x: float, z0: float, z1: float, dash: float = 0.0, gap: float = 0.0, color: Floats = WHITE_PAINT
) -> Mesh:
    """A painted line along the road, 0.14 m wide; dashed if `dash` is not 0."""
    starts = np.arange(z0, z1, dash + gap) if dash else _cuts(z0, z1)[:-1]
    ends = np.minimum(starts + dash, z1) if dash else _cuts(z0, z1)[1:]
    faces = [
        [[x + s * 0.07, 0.012, z] for s, z in ((-1, a), (1, a), (1, b), (-1, b))]
        for a, b in zip(starts, ends, strict=True)
    ]
    return quads(faces, color, Material.MARKING)


def crosswalk(x0: float, x1: float, z: float) -> Mesh:
    """Zebra stripes across the road, 3.4 m long, and nothing between them."""
    left = np.arange(x0 + 0.4, x1 - 0.6, 1.0)
    faces = [
        [[x, 0.012, z], [x + 0.5, 0.012, z], [x + 0.5, 0.012, z + 3.4], [x, 0.012, z + 3.4]] for x in left
    ]
    return quads(faces, WHITE_PAINT, Material.MARKING)


def stop_line(x0: float, x1: float, z: float) -> Mesh:
    """A bar across the lanes."""
    return quads(
        [[x0, 0.012, z], [x1, 0.012, z], [x1, 0.012, z + 0.35], [x0, 0.012, z + 0.35]],
        WHITE_PAINT,
        Material.MARKING,
    )


def arrow(x: float, z: float) -> Mesh:
    """A lane arrow pointing ahead."""
    head = [
        [x - 0.35, 0.012, z + 2.2],
        [x + 0.35, 0.012, z + 2.2],
        [x + 0.02, 0.012, z + 4.0],
        [x - 0.02, 0.012, z + 4.0],
    ]
    stem = [
        [x - 0.08, 0.012, z],
        [x + 0.08, 0.012, z],
        [x + 0.08, 0.012, z + 2.2],
        [x - 0.08, 0.012, z + 2.2],
    ]
    return quads([head, stem], WHITE_PAINT, Material.MARKING)


def _cuts(z0: float, z1: float) -> NDArray[np.float64]:
    """Positions from z0 to z1, closer together near the camera."""
    count = max(2, int(np.ceil((z1 - z0) / 5.0)) + 1)
    return np.asarray(z0 + (z1 - z0) * np.linspace(0, 1, count) ** 1.3)
