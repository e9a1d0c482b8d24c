"""Traffic lights, traffic signs, advertising."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.mesh import Material, Mesh, at, box, fan, join, quads, rgb, tube, wheel_disc

STEEL, DARK_STEEL = "#8d9498", "#3c4246"
LANTERNS = (("#ff2a1e", 0), ("#ffb320", 1), ("#2dff8a", 2))


def signal_post(side: int, reach: float, tall: float = 5.6) -> Mesh:
    """A post with an arm over the road."""
    return join(
        [
            tube([(0, 0, 0), (0, tall + 0.3, 0)], [0.12, 0.09], DARK_STEEL, 8),
            tube([(0, tall, 0), (side * reach, tall + 0.15, 0)], [0.08, 0.05], DARK_STEEL, 6),
        ]
    )


def signal_head(lit: int) -> Mesh:
    """Three lanterns in a black case with a pale border, facing the viewer."""
    parts = [box((0, 0, 0), (0.40, 1.10, 0.22), "#0f1011"), box((0, 0, 0.10), (0.62, 1.34, 0.03), "#1a1b1d")]
    for color, place in LANTERNS:
        glow = rgb(color) * (1.6 if place == lit else 0.12)
        disc = wheel_disc((0, 0, 0), 0.13, 0.06, glow, 14).placed(yaw=np.pi / 2)
        material = np.full_like(disc.materials, Material.LAMP if place == lit else Material.MATTE)
        lamp = Mesh(disc.corners, disc.normals, disc.colors, material).placed(0, 0.35 - 0.35 * place, -0.12)
        parts.append(lamp)
    return join(parts)


def sign_post(tall: float) -> Mesh:
    """A thin post for a sign."""
    return tube([(0, 0, 0), (0, tall, 0)], 0.035, STEEL, 6)


def road_sign(rng: np.random.Generator) -> Mesh:
    """A round, triangular or square sign, centred on the origin, facing the viewer."""
    kind = int(rng.integers(5))
    if kind == 0:
        return join(
            [_plate(24, 0.38, "#c01f24", 0), _plate(24, 0.29, "#eeeeea", -0.012), _glyph(rng, "#16181b")]
        )
    if kind == 1:
        return join([_plate(24, 0.38, "#1d55b0", 0), _glyph(rng, "#f4f4f0")])
    if kind == 2:
        return join(
            [_plate(3, 0.48, "#17181a", 0), _plate(3, 0.41, "#f0c22a", -0.012), _glyph(rng, "#17181a", 0.7)]
        )
    if kind == 3:
        return join([_plate(8, 0.40, "#b9191f", 0), _glyph(rng, "#f4f4f0")])
    return join([box((0, 0, 0.01), (0.70, 0.70, 0.02), "#1d55b0"), _glyph(rng, "#f4f4f0", 1.4)])


def direction_sign(rng: np.random.Generator, wide: float) -> Mesh:
    """A large panel with a border, place names and an arrow."""
    tall = wide * 0.5
    ground = "#1f5c3f" if rng.random() < 0.4 else "#1b4f9c"
    parts = [
        box((0, 0, 0.03), (wide, tall, 0.05), "#e8e8e4"),
        box((0, 0, 0.02), (wide - 0.12, tall - 0.12, 0.06), ground),
    ]
    for row in (0.22, -0.08):
        x = -0.38 * wide
        while x < 0.2 * wide:
            step = float(rng.uniform(0.06, 0.13)) * wide
            parts.append(box((x + step / 2, row * tall, -0.015), (step, 0.17 * tall, 0.01), "#f2f2ee"))
            x += step + 0.03 * wide
    parts.append(box((0.34 * wide, -0.05 * tall, -0.015), (0.05 * wide, 0.5 * tall, 0.01), "#f2f2ee"))
    tip = [[0.26, 0.14, -0.02], [0.42, 0.14, -0.02], [0.345, 0.36, -0.02], [0.335, 0.36, -0.02]]
    parts.append(quads(np.array(tip) * [wide, tall, 1], "#f2f2ee"))
    return join(parts)


def billboard(rng: np.random.Generator, wide: float) -> Mesh:
    """An advertising panel with an abstract picture, centred on the origin, facing the viewer."""
    tall = wide * 0.55
    hues = rng.uniform(0.1, 0.9, (5, 3)).astype(np.float32)
    parts = [
        box((0, 0, 0.06), (wide + 0.2, tall + 0.2, 0.1), DARK_STEEL),
        box((0, 0, 0), (wide, tall, 0.04), hues[0] ** 2),
    ]
    for i in range(3):
        place = rng.uniform([-0.35, -0.3], [0.35, 0.3]) * [wide, tall]
        size = rng.uniform(0.08, 0.20) * tall * 2
        disc = fan(at(_ring(20, size), place[0], place[1], -0.03 - 0.004 * i), hues[i + 1] ** 2)
        keep = (np.abs(disc.corners[..., 0]) < wide / 2) & (np.abs(disc.corners[..., 1]) < tall / 2)
        inside = keep.all(1)
        parts.append(
            Mesh(disc.corners[inside], disc.normals[inside], disc.colors[inside], disc.materials[inside])
        )
    for row in range(2):
        parts.append(
            box(
                (-0.12 * wide, (-0.25 - 0.13 * row) * tall, -0.045),
                (wide * (0.6 - 0.2 * row), 0.07 * tall, 0.01),
                "#f5f3ec",
            )
        )
    return join(parts)


def _ring(count: int, radius: float) -> NDArray[np.float64]:
    """Points around the origin in the plane across z, the first straight up."""
    angle = np.arange(count) * (2 * np.pi / count) + (np.pi / 8 if count == 8 else 0)
    return np.stack([np.sin(angle) * radius, np.cos(angle) * radius, 0 * angle], -1)


def _plate(sides: int, radius: float, color: str, z: float) -> Mesh:
    return fan(at(_ring(sides, radius), z=z), color)


def _glyph(rng: np.random.Generator, color: str, scale: float = 1.0) -> Mesh:
    """A few bars that read as a symbol from afar."""
    turned = rng.random() < 0.5
    bars = (
        [(0, 0, 0.08, 0.34), (0.07, 0.10, 0.16, 0.07)]
        if turned
        else [(0, 0, 0.34, 0.09), (0, 0.10, 0.09, 0.14)]
    )
    parts = [
        box((scale * a, scale * b, -0.025), (scale * c, scale * d, 0.006), color)
        for a, b, c, d in np.asarray(bars)
    ]
    return join(parts)
