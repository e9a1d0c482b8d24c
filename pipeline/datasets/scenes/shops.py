"""Shop fronts."""

from __future__ import annotations

import numpy as np

from pipeline.datasets.scenes.mesh import Material, Mesh, join, quads, rgb
from pipeline.datasets.scenes.walls import Wall

SIGNS = ("#b3282d", "#1f5fa8", "#207a4c", "#d98f1f", "#5b2f7a", "#22262c", "#c8502a", "#0f7f86")
AWNINGS = ("#b5332e", "#2c6b4f", "#2d5f9a", "#c98b2b", "#7b3347")


def shops(rng: np.random.Generator, wall: Wall, bays: int, ground: float) -> Mesh:
    """Shop fronts of two or three bays: a window, a sign with lettering, sometimes an awning."""
    parts, bay, step = [], 0, wall.length / bays
    while bay < bays:
        wide = min(int(rng.integers(2, 4)), bays - bay)
        s0, s1 = bay * step + 0.25, (bay + wide) * step - 0.25
        bay += wide
        sign = rgb(SIGNS[rng.integers(len(SIGNS))])
        door = s0 + (s1 - s0) * float(rng.uniform(0.15, 0.7))
        parts += [
            quads(wall.patches(s0, s1, 0.5, ground - 1.25, 0.03), rgb("#2a3238"), Material.GLASS),
            *_display(rng, wall, s0, s1, ground - 1.25),
            quads(wall.patches(door, door + 1.0, 0.05, ground - 1.5, 0.06), rgb("#3a3f44"), Material.GLASS),
            quads(
                wall.patches(
                    [s0, door - 0.06, door + 1.0], [s1, door, door + 1.06], [0, 0, 0], [0.5, 2.6, 2.6], 0.07
                ),
                sign * 0.5,
            ),
            wall.ledge(s0, s1, ground - 1.2, ground - 0.3, 0.18, sign),
        ]
        letters = np.sort(rng.uniform(s0 + 0.4, s1 - 0.5, max(3, int((s1 - s0) * 1.1))))
        ends = letters + rng.uniform(0.12, 0.42, len(letters))
        pale = rgb("#f4ead2") if rng.random() < 0.7 else rgb("#f2d04a")
        parts.append(quads(wall.patches(letters, ends, ground - 0.98, ground - 0.52, 0.20), pale))
        if rng.random() < 0.45:
            parts.append(_awning(rng, wall, s0, s1, ground - 1.25))
    return join(parts)


def _display(rng: np.random.Generator, wall: Wall, s0: float, s1: float, top: float) -> list[Mesh]:
    """What a shop window shows: goods on a shelf, a lit ceiling, bars between the panes."""
    place = np.sort(rng.uniform(s0 + 0.2, s1 - 0.6, 7))
    tall = rng.uniform(0.75, 1.7, 7)
    goods = (rng.uniform(0.02, 0.30, (7, 3)) + 0.25 * rng.random((7, 1)) ** 3).astype(np.float32)
    bars = np.linspace(s0, s1, 4)
    return [
        quads(wall.patches(place, place + rng.uniform(0.2, 0.6, 7), 0.52, tall, 0.035), goods),
        quads(
            wall.patches(s0 + 0.1, s1 - 0.1, top - 0.22, top - 0.06, 0.035),
            rgb("#ffe2b0") * np.float32(0.8),
            Material.LAMP,
        ),
        quads(wall.patches(bars - 0.04, bars + 0.04, 0.5, top, 0.05), rgb("#33373a")),
    ]


def _awning(rng: np.random.Generator, wall: Wall, s0: float, s1: float, top: float) -> Mesh:
    stripes = max(4, int((s1 - s0) / 0.45))
    s = np.linspace(s0, s1, stripes + 1)
    cloth = rgb(AWNINGS[rng.integers(len(AWNINGS))])
    colors = np.where((np.arange(stripes) % 2 == 0)[:, None], cloth, rgb("#e9e4d6")).astype(np.float32)
    slope = wall.patches(s[:-1], s[1:], top - 0.7, top, 0.05)
    slope[:, :2] += wall.out * 1.25
    hem = wall.patches(s[:-1], s[1:], top - 0.95, top - 0.7, 1.30)
    return join([quads(slope, colors), quads(hem, colors)])
