"""Street furniture: lamps, fences, walls, bins, cones, stalls, benches; and the camera car's bonnet."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.ground import CONCRETE
from pipeline.datasets.scenes.mesh import (
    Floats,
    Material,
    Mesh,
    box,
    ellipsoid,
    join,
    quads,
    rgb,
    surface,
    tube,
)
from pipeline.datasets.scenes.signs import DARK_STEEL, STEEL


def street_lamp(side: int, tall: float) -> Mesh:
    """A lamp post; `side` is where the street lies, seen from it."""
    tip = np.array([side * 1.9, tall + 0.25, 0])
    return join(
        [
            tube([(0, 0, 0), (0, tall * 0.6, 0), (0, tall, 0)], [0.10, 0.075, 0.055], STEEL, 8),
            tube([(0, tall - 0.1, 0), (side * 0.7, tall + 0.2, 0), tip], 0.04, STEEL, 6),
            box(tip, (0.75, 0.10, 0.26), DARK_STEEL),
            box((0, 0.2, 0), (0.30, 0.4, 0.30), STEEL),
        ]
    )


def railing(x: float, z0: float, z1: float, color: str) -> Mesh:
    """A metal fence along z with posts, two rails and bars."""
    posts = np.arange(z0, z1 + 0.1, 2.0)
    parts = [box((x, 0.55, z), (0.07, 1.10, 0.07), color) for z in posts]
    spans = np.arange(z0, z1 - 0.1, 2.0)
    for tall in (0.25, 0.98):
        parts += [box((x, tall, z + 1.0), (0.04, 0.06, 2.0), color) for z in spans]
    z = np.arange(z0 + 0.25, z1, 0.25)
    for a, b in (((-0.012, 0), (0.012, 0)), ((0, -0.012), (0, 0.012))):
        bars = [[[x + p, y, c + q] for (p, q), y in ((a, 0.25), (b, 0.25), (b, 0.98), (a, 0.98))] for c in z]
        parts.append(quads(bars, color))
    return join(parts)


def low_wall(x: float, z0: float, z1: float, tall: float, color: Floats) -> Mesh:
    """A brick wall along z with a coping."""
    z = np.linspace(z0, z1, max(2, int((z1 - z0) / 6) + 1))
    parts = [
        box((x, tall / 2, (a + b) / 2), (0.3, tall, b - a), color, Material.BRICK) for a, b in pairwise(z)
    ]
    parts += [box((x, tall + 0.05, (a + b) / 2), (0.42, 0.1, b - a), CONCRETE) for a, b in pairwise(z)]
    return join(parts)


def dustbin(rng: np.random.Generator) -> Mesh:
    """A litter bin."""
    color = rgb(("#2c6b4f", "#3b4a57", "#6b6f72", "#2f5fa0")[rng.integers(4)])
    return join(
        [
            surface([_level(y, r) for y, r in ((0.05, 0.24), (0.8, 0.28), (0.9, 0.27))], color),
            ellipsoid((0, 0.92, 0), (0.28, 0.14, 0.28), color * np.float32(0.6), steps=(6, 12)),
        ]
    )


def cone() -> Mesh:
    """A traffic cone with white bands."""
    levels = np.array([0.04, 0.22, 0.34, 0.46, 0.56, 0.72])
    rings = [_level(y, 0.19 - 0.22 * y) for y in levels]
    bands = np.where((np.arange(5) % 2 == 1)[:, None, None], rgb("#eeeeea"), rgb("#e0481a"))
    return join(
        [surface(rings, np.broadcast_to(bands, (5, 12, 3))), box((0, 0.02, 0), (0.44, 0.05, 0.44), "#c03f18")]
    )


def bollard() -> Mesh:
    """A short post that keeps cars off the sidewalk."""
    return join(
        [
            tube([(0, 0, 0), (0, 0.85, 0)], 0.07, "#5a5f63", 8),
            tube([(0, 0.62, 0), (0, 0.74, 0)], 0.075, "#e3c02f", 8),
        ]
    )


def parasol_stall(rng: np.random.Generator) -> Mesh:
    """A street stall under a parasol."""
    cloth = rgb(("#c33a2f", "#e0a32c", "#2f7a9c", "#4b8f5a")[rng.integers(4)])
    shades = np.where((np.arange(12) % 2 == 0)[:, None], cloth, rgb("#eee7d6"))
    canopy = surface(
        [_level(2.15, 1.35), _level(2.45, 0.7), _level(2.62, 0.02)], np.broadcast_to(shades, (2, 12, 3))
    )
    parts = [
        canopy,
        tube([(0, 0, 0), (0, 2.6, 0)], 0.025, STEEL, 6),
        box((0, 0.45, 0.1), (1.5, 0.9, 0.7), cloth * np.float32(0.5)),
    ]
    for i in range(8):
        goods = rgb(rng.uniform(0.2, 0.95, 3))
        parts.append(ellipsoid((-0.62 + 0.18 * i, 0.96, 0.0), (0.09, 0.09, 0.2), goods, steps=(5, 8)))
    return join(parts)


def bench() -> Mesh:
    """A wooden bench, its back towards +x."""
    wood = rgb("#8a6a48")
    parts = [box((0.08 * i - 0.2, 0.45, 0), (0.07, 0.04, 1.6), wood) for i in range(5)]
    parts += [box((0.24, 0.60 + 0.11 * i, 0), (0.04, 0.08, 1.6), wood) for i in range(3)]
    return join(parts + [box((0, 0.22, z), (0.4, 0.44, 0.06), DARK_STEEL) for z in (-0.65, 0.65)])


def hood(color: Floats) -> Mesh:
    """The bonnet of the car that carries the camera."""
    x = np.linspace(-1.05, 1.05, 25)
    z = np.array([0.62, 0.8, 1.0, 1.2, 1.36, 1.46, 1.5])
    grid_x, grid_z = np.meshgrid(x, z)
    y = 0.985 - 0.07 * (grid_x / 1.05) ** 2 * 1.2 - 0.055 * np.clip((grid_z - 0.9) / 0.6, 0, 1) ** 2.2
    y += 0.018 * np.exp(-(((np.abs(grid_x) - 0.55) / 0.10) ** 2))
    front = grid_z - 0.18 * (grid_x / 1.05) ** 2 * ((grid_z - 0.62) / 0.9)
    return surface(np.stack([grid_x, y, front], -1), color, Material.PAINT, closed=False)


def _level(y: float, radius: float, count: int = 12) -> NDArray[np.float64]:
    """Points around the vertical axis at a height."""
    angle = np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angle) * radius, 0 * angle + y, np.sin(angle) * radius], -1)
