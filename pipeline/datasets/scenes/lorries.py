"""Buses and lorries, standing on the origin with their front towards +z."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.mesh import Material, Mesh, box, fan, join, rgb, surface
from pipeline.datasets.scenes.parts import CAR_COLORS, GLASS, HEAD, PLATE, TAIL, TRIM, arch, wheel

VARIANTS = 8
"""How many different buses there are, and lorries."""
BUS_COLORS = (("#c8342c", "#f3efe6"), ("#2c6fb0", "#f0f2f4"), ("#3f8f4f", "#f1efe0"), ("#e39a25", "#f5f1e8"))
Profile = NDArray[np.float64]


@cache
def bus(variant: int) -> Mesh:
    """A city bus in one of a few liveries."""
    rng = np.random.default_rng([2, variant])
    livery, light = (rgb(c) for c in BUS_COLORS[rng.integers(len(BUS_COLORS))])
    length, side = float(rng.uniform(9.5, 12.0)), 1.25
    half = length / 2
    x = side * np.array([0.94, 1, 1, 1, 0.985, 0.97, 0.93, 0.80, 0.0])
    y = np.array([0.32, 0.42, 0.95, 1.15, 2.35, 2.62, 2.95, 3.08, 3.10])
    x, y = np.concatenate([x, -x[-2::-1]]), np.concatenate([y, y[-2::-1]])
    z = half * np.array([-1, -0.985, -0.96, 0.96, 0.985, 1])
    shrink = np.array([0.90, 0.965, 1, 1, 0.965, 0.90])[:, None]
    rings = np.stack(
        [x * shrink, 1.7 + (y - 1.7) * shrink**0.4, np.broadcast_to(z[:, None], (6, len(x)))], -1
    )
    level = y[:-1] + y[1:]
    glass = (level > 3.3) & (level < 3.7) & (np.arange(5) == 2)[:, None]
    colors = np.where(
        glass[..., None], GLASS, np.where(((level < 2.0) | (level > 5.8))[:, None], livery, light)
    )
    body = surface(rings, colors, np.where(glass, Material.GLASS, Material.PAINT), closed=False)
    parts = [body, fan(rings[0], livery, Material.PAINT), fan(rings[-1], livery, Material.PAINT)]
    posts = np.arange(-half + 1.2, half - 0.6, 1.45)
    for s in (-1, 1):
        parts += [
            box((s * side * 0.99, 1.75, z0), (0.05, 1.25, 0.10), light * np.float32(0.5)) for z0 in posts
        ]
        parts += [wheel(s * (side - 0.14), z0, 0.48, 0.28, s) for z0 in (-half * 0.55, half * 0.58)]
        parts += [arch(s * (side + 0.02), z0, 0.48) for z0 in (-half * 0.55, half * 0.58)]
        parts += [
            box((s * 0.95, 0.85, half), (0.34, 0.20, 0.08), HEAD, Material.PAINT),
            box((s * 1.00, 0.95, -half), (0.20, 0.42, 0.08), TAIL, Material.PAINT),
            box((s * 1.42, 2.2, half + 0.1), (0.16, 0.42, 0.12), TRIM),
        ]
    parts += [
        box((0, 1.95, half), (2.10, 1.35, 0.08), GLASS, Material.GLASS),
        box((0, 2.82, half), (1.70, 0.26, 0.08), rgb("#e8a020") * 1.5, Material.LAMP),
        box((0, 2.15, -half), (1.80, 0.80, 0.08), GLASS, Material.GLASS),
        box((0, 0.55, -half - 0.02), (0.50, 0.16, 0.06), PLATE),
        box((0, 0.42, -half), (2.1, 0.16, 0.10), TRIM),
        box((side * 1.0, 1.35, half * 0.80), (0.03, 1.9, 1.1), GLASS, Material.GLASS),
        box((side * 1.0, 1.35, -0.4), (0.03, 1.9, 1.2), GLASS, Material.GLASS),
    ]
    return join(parts)


@cache
def truck(variant: int) -> Mesh:
    """A lorry with a box body."""
    rng = np.random.default_rng([3, variant])
    paint = rgb(CAR_COLORS[rng.integers(len(CAR_COLORS))])
    load = rgb(("#d9dadb", "#c7b48a", "#6f8f6a", "#3f6a9a", "#e5e3dd")[rng.integers(5)])
    length = float(rng.uniform(6.5, 8.5))
    half, side, tall = length / 2, 1.15, float(rng.uniform(2.9, 3.5))
    front = half - 0.9
    cab_y = np.array([0.55, 1.35, 1.40, 2.15, 2.40, 2.45])
    cab_z = np.array([half, half + 0.02, half, half - 0.16, half - 0.32, half - 0.5])
    wide = side * np.array([0.97, 1, 0.99, 0.93, 0.86, 0.5])
    back = half - 1.9
    rings = np.stack(
        [np.stack([s * w, y, z], -1) for s, w, z in _outline(wide, cab_z, back) for y in (cab_y,)],
        1,
    )
    glass = np.zeros((5, rings.shape[1]), bool)
    glass[2, [1, 3, 5]] = True
    colors = np.where(glass[..., None], GLASS, paint)
    parts = [
        surface(rings, colors, np.where(glass, Material.GLASS, Material.PAINT)),
        box(
            (0, (1.0 + tall) / 2, (back - half) / 2 - 0.05),
            (side * 2.05, tall - 1.0, half + back - 0.1),
            load,
        ),
        box((0, 0.85, -0.5), (side * 1.3, 0.25, length - 1.0), TRIM),
        box((0, 0.60, -half + 0.05), (side * 1.9, 0.14, 0.10), TRIM),
        box((0, 0.75, half + 0.01), (side * 1.9, 0.30, 0.08), TRIM),
        box((0, 0.62, -half - 0.01), (0.5, 0.16, 0.03), PLATE),
    ]
    ribs = np.linspace(-half + 0.3, back - 0.3, 9)
    for s in (-1, 1):
        parts += [
            box((s * side * 1.03, (1.0 + tall) / 2, z), (0.05, tall - 1.0, 0.06), load * 0.7) for z in ribs
        ]
        parts += [wheel(s * (side - 0.15), z, 0.46, 0.30, s) for z in (-half * 0.62, front - 0.1)]
        parts += [
            box((s * 0.85, 0.78, half + 0.03), (0.32, 0.18, 0.08), HEAD, Material.PAINT),
            box((s * 0.90, 0.76, -half), (0.30, 0.14, 0.10), TAIL, Material.PAINT),
            box((s * (side + 0.18), 1.8, half - 0.15), (0.14, 0.45, 0.10), TRIM),
        ]
    parts.append(box((0, (1.0 + tall) / 2, -half - 0.03), (0.05, tall - 1.1, 0.04), load * 0.6))
    return join(parts)


def _outline(wide: Profile, z: Profile, back: float) -> list[tuple[int, Profile, Profile]]:
    """A truck cab's plan, once around: side, half width and z of each corner, by level."""
    rear, post = np.full_like(z, back), z - 0.12
    half = [(1, wide, rear), (1, wide, rear + 0.5), (1, wide, post), (1, wide * 0.88, z)]
    return half + [(-s, w, p) for s, w, p in reversed(half)]
