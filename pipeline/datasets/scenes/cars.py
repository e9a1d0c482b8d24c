"""Cars, standing on the origin with their front towards +z."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.datasets.scenes.mesh import (
    Floats,
    Material,
    Mesh,
    at,
    box,
    fan,
    join,
    quads,
    rgb,
    surface,
    wheel_disc,
)
from pipeline.datasets.scenes.parts import (
    AMBER,
    CAR_COLORS,
    GLASS,
    HEAD,
    PLATE,
    TAIL,
    TRIM,
    TYRE,
    arch,
    wheel,
)


@dataclass(frozen=True)
class Shape:
    """Measures of a car body in metres: z runs from the tail (negative) to the nose."""

    length: float
    width: float
    height: float
    belt: float  # height of the window line
    hood: float  # height of the nose
    tail: tuple[float, float]  # z of the rear window's foot and of its top
    front: tuple[float, float]  # z of the windscreen's foot and of its top
    boot: float  # height of the tail end
    roof: float  # half width of the roof over half width of the body
    wheel: float = 0.33


SHAPES = (
    Shape(4.7, 1.84, 1.46, 0.90, 0.72, (-1.75, -0.95), (1.00, 0.20), 0.95, 0.66),  # saloon
    Shape(4.2, 1.78, 1.50, 0.92, 0.74, (-2.02, -1.55), (1.00, 0.30), 0.92, 0.68),  # hatchback
    Shape(4.7, 1.92, 1.74, 1.06, 0.90, (-2.20, -1.85), (1.05, 0.40), 1.04, 0.72, 0.38),  # sport utility
    Shape(4.9, 1.90, 1.95, 1.10, 0.92, (-2.40, -2.25), (1.70, 0.85), 1.08, 0.80, 0.35),  # van
)
SHAPE_SHARES = (0.42, 0.25, 0.23, 0.10)


VARIANTS = 72
"""How many different cars there are."""


@cache
def car(variant: int, far: bool = False) -> Mesh:
    """One of the cars, of some build and colour; `far` leaves out what nobody sees from 40 m away."""
    rng = np.random.default_rng([1, variant])
    shape = SHAPES[rng.choice(len(SHAPES), p=SHAPE_SHARES)]
    paint = rgb(CAR_COLORS[rng.integers(len(CAR_COLORS))]) * np.float32(rng.uniform(0.85, 1.1))
    details = _details(shape, paint) if not far else _plain_wheels(shape)
    return join(
        [_body(shape, paint), _cabin(shape, paint), _lights(shape, bool(rng.random() < 0.3)), details]
    )


def _body(shape: Shape, paint: Floats) -> Mesh:
    """The lower body: rounded cross-sections from tail to nose."""
    half, side = shape.length / 2, shape.width / 2
    z = half * np.array([-1, -0.985, -0.93, -0.80, -0.5, 0.0, 0.35, 0.6, 0.82, 0.94, 0.985, 1])
    width = side * np.array([0.80, 0.88, 0.95, 0.99, 1, 1, 1, 0.99, 0.95, 0.88, 0.80, 0.70])
    low = np.array([0.42, 0.34, 0.27, 0.24, 0.22, 0.22, 0.22, 0.23, 0.25, 0.29, 0.34, 0.42])
    rise, drop = shape.boot - shape.belt, shape.hood - shape.belt
    edge = np.array([-0.13, -0.05, 0, 0, 0, 0, 0, 0, 0, -0.02, -0.07, -0.17])
    top = shape.belt + edge + rise * (z < -0.75 * half) + drop * np.clip((z / half - 0.35) / 0.6, 0, 1) ** 1.3
    angle = (np.arange(20) + 0.5) * (2 * np.pi / 20)
    squared = np.abs(np.stack([np.cos(angle), np.sin(angle)])) ** 0.45 * np.sign(
        [np.cos(angle), np.sin(angle)]
    )
    middle, tall = (top + low)[:, None] / 2, (top - low)[:, None] / 2
    x = width[:, None] * squared[0] * (1 - 0.05 * np.clip(squared[1], 0, 1))
    y = middle + tall * squared[1]
    rings = np.stack([x, y, np.broadcast_to(z[:, None], x.shape)], -1)
    colors = np.where((y[:-1] < 0.30)[..., None], rgb(TRIM), paint)
    ends = [fan(rings[i], paint, Material.PAINT) for i in (0, -1)]
    return join([surface(rings, colors, Material.PAINT), *ends])


def _cabin(shape: Shape, paint: Floats) -> Mesh:
    """Windows, pillars and roof: rings in plan view from the window line up."""
    side = shape.width / 2
    levels = np.array([0.0, 0.45, 0.86, 0.96, 1.0, 1.0])
    y = shape.belt - 0.06 + (shape.height - shape.belt + 0.06) * levels
    share = np.array([0.0, 0.45, 0.88, 1.0, 1.12, 1.4])
    narrow = (
        np.array([0.93, 0.86, 0.755, 0.70, 0.55, 0.05])
        * side
        * (shape.roof / 0.66) ** np.array([0, 0.5, 1, 1, 1, 1])
    )
    rear = shape.tail[0] + (shape.tail[1] - shape.tail[0]) * share
    fore = shape.front[0] + (shape.front[1] - shape.front[0]) * share
    post = (rear + fore) / 2 + 0.1
    half = np.stack(  # one side from the rear window's middle to the windscreen's middle
        [
            np.stack(
                [0 * y, narrow * 0.80, narrow * 0.97, narrow, narrow, narrow, narrow * 0.97, narrow * 0.82], 1
            ),
            np.stack(
                [rear - 0.05, rear, rear + 0.20, rear + 0.30, post - 0.05, post + 0.05, fore - 0.2, fore], 1
            ),
        ],
        -1,
    )
    half = np.concatenate([half, np.stack([0 * y, fore + 0.07], -1)[:, None]], 1)
    other = half[:, -2:0:-1] * [-1, 1]
    plan = np.concatenate([half, other], 1)
    rings = np.stack([plan[..., 0], np.broadcast_to(y[:, None], plan.shape[:2]), plan[..., 1]], -1)
    glass = np.array([1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 1], bool) & (np.arange(5) < 2)[:, None]
    colors = np.where(glass[..., None], GLASS, paint)
    return surface(rings, colors, np.where(glass, Material.GLASS, Material.PAINT))


def _lights(shape: Shape, braking: bool) -> Mesh:
    """Lights, plates and bumpers."""
    half, side = shape.length / 2, shape.width / 2
    lamp_y = shape.belt - 0.20
    tail = TAIL * 4 if braking else TAIL
    parts = [
        box((0, 0.44, -half), (side * 1.55, 0.16, 0.06), TRIM),
        box((0, 0.42, half - 0.02), (side * 1.35, 0.18, 0.06), TRIM),
        box((0, shape.hood - 0.16, half - 0.015), (side * 0.9, 0.13, 0.06), TRIM),
        box((0, 0.66, -half - 0.01), (0.46, 0.15, 0.03), PLATE),
        box((0, 0.43, half + 0.02), (0.46, 0.14, 0.03), PLATE),
    ]
    for s in (-1, 1):
        lamp = Material.LAMP if braking else Material.PAINT
        parts += [
            box((s * side * 0.64, lamp_y, -half + 0.03), (side * 0.32, 0.15, 0.12), tail, lamp),
            box(
                (s * side * 0.60, shape.hood - 0.15, half - 0.08),
                (side * 0.32, 0.13, 0.18),
                HEAD,
                Material.PAINT,
            ),
            box((s * side * 0.66, 0.50, half - 0.06), (0.12, 0.08, 0.12), AMBER),
        ]
    return join(parts)


def _plain_wheels(shape: Shape) -> Mesh:
    half, side = shape.length / 2, shape.width / 2
    places = [(s * (side - 0.11), z) for s in (-1, 1) for z in (-half * 0.60, half * 0.62)]
    return join([wheel_disc((x, shape.wheel, z), shape.wheel, 0.25, TYRE, 10) for x, z in places])


def _details(shape: Shape, paint: Floats) -> Mesh:
    """Wheels with rims, wheel arches, mirrors, and the gaps around the doors."""
    half, side = shape.length / 2, shape.width / 2
    parts = []
    for s in (-1, 1):
        parts += [
            box(
                (s * side * 1.02, shape.belt + 0.06, shape.front[0] - 0.30),
                (0.16, 0.13, 0.10),
                paint,
                Material.PAINT,
            ),
        ]
        for z in (-half * 0.60, half * 0.62):
            parts += [wheel(s * (side - 0.11), z, shape.wheel, 0.22, s)]
            parts += [arch(s * (side + 0.002), z, shape.wheel)]
        for z in (shape.front[0] - 0.35, (shape.tail[0] + shape.front[0]) / 2 + 0.1, shape.tail[0] + 0.35):
            line = [
                [0, 0.38, z],
                [0, 0.38, z + 0.02],
                [0, shape.belt - 0.1, z + 0.02],
                [0, shape.belt - 0.1, z],
            ]
            parts.append(quads(at(line, s * (side + 0.002)), paint * np.float32(0.25)))
    return join(parts)
