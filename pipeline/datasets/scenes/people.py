"""People on foot, in the saddle, and the two- and three-wheelers they ride; fronts towards +z."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from pipeline.datasets.scenes.mesh import (
    Floats,
    Material,
    Mesh,
    at,
    box,
    ellipsoid,
    fan,
    join,
    rgb,
    surface,
    tube,
    wheel_disc,
)
from pipeline.datasets.scenes.parts import CAR_COLORS, GLASS, HEAD, TAIL, TRIM, TYRE

SKIN = ("#e8b995", "#d19a73", "#a8734d", "#7c5034", "#f0c8a8", "#c98e66")
HAIR = ("#17130f", "#2a1d14", "#4a3120", "#0e0e10", "#6d5138", "#8f8d8a")
TOPS = (
    *("#b8322f", "#2d4f8f", "#e6e2d8", "#1e1f24", "#4f7a52", "#c9a03c", "#7a4b7f", "#d86f45", "#5f7f9f"),
    *("#8a8d91", "#f0efe9", "#a02c56", "#2f7f80", "#3b2f2a"),
)
LEGS = ("#20242f", "#2b3a55", "#45423d", "#17181a", "#6a6257", "#3a4a66", "#8a8172")
SHOES = ("#141414", "#3a2a1e", "#e2e0da", "#4a4d52")


VARIANTS = 60
"""How many different people there are on foot; of each kind of vehicle, with its rider, there are sixteen."""


@cache
def person(variant: int) -> Mesh:
    """Somebody walking or standing, 1.5 m to 1.87 m tall."""
    rng = np.random.default_rng([4, variant])
    top, legs, skin, hair, shoes = (rgb(_pick(rng, c)) for c in (TOPS, LEGS, SKIN, HAIR, SHOES))
    stride = float(rng.choice([0.0, rng.uniform(0.25, 0.55)], p=[0.25, 0.75])) * float(rng.choice([-1, 1]))
    parts = [
        _torso((0, 0.92, 0), (0, 1.43, 0.02), top),
        _head((0, 1.62, 0.03), skin, hair, bool(rng.random() < 0.4)),
    ]
    skirt = rng.random() < 0.25
    for side in (-1, 1):
        swing = stride * side
        knee, foot = (side * 0.09, 0.50, 0.10 + swing * 0.45), (side * 0.09, 0.07, swing * 0.85 - 0.05)
        bare = skin if skirt else legs
        parts += [
            tube([(side * 0.09, 0.93, 0), knee, foot], [0.095, 0.070, 0.05], bare, 7),
            box((side * 0.09, 0.04, foot[2] + 0.06), (0.09, 0.08, 0.26), shoes),
            _arm(
                side,
                (side * 0.21, 1.38, 0),
                (side * 0.26, 1.12, -swing * 0.25),
                (side * 0.25, 0.88, 0.06 - swing * 0.5),
                top,
                skin,
            ),
        ]
    if skirt:
        rings = [
            _oval((0, y, 0), rx, rz)
            for y, rx, rz in ((1.02, 0.17, 0.12), (0.75, 0.22, 0.18), (0.52, 0.26, 0.24))
        ]
        parts.append(surface(rings, legs))
    if rng.random() < 0.4:
        bag = rgb(_pick(rng, TOPS)) * np.float32(0.6)
        worn = rng.random() < 0.5
        place, size = (
            ((0, 1.22, -0.20), (0.30, 0.42, 0.18)) if worn else ((0.30, 0.75, 0.02), (0.10, 0.28, 0.32))
        )
        parts.append(ellipsoid(place, np.array(size) / 1.7, bag, steps=(6, 8)))
    return join(parts).placed(scale=float(rng.uniform(0.88, 1.08)))


def rider(rng: np.random.Generator, saddle: ArrayLike, bars: ArrayLike, pedals: float, helmet: bool) -> Mesh:
    """Somebody seated.

    Parameters
    ----------
    saddle, bars
        Where the rider sits, and the middle of the handlebars.
    pedals
        Height of the feet; they are half a pedal's turn apart if it is below 0.35 m.
    """
    top, legs, skin, hair, shoes = (rgb(_pick(rng, c)) for c in (TOPS, LEGS, SKIN, HAIR, SHOES))
    seat, grip = np.asarray(saddle, float), np.asarray(bars, float)
    neck = at(seat, 0, 0.52, 0.20)
    parts = [_torso(at(seat, 0, 0.02, 0), neck, top)]
    head = at(neck, 0, 0.20, 0.06)
    parts.append(_head(head, skin, hair, False))
    if helmet:
        parts.append(
            ellipsoid(at(head, 0, 0.05, 0), (0.14, 0.13, 0.16), rgb(_pick(rng, CAR_COLORS)), Material.PAINT)
        )
    turn = 0.09 if pedals < 0.35 else 0.0
    for side in (-1, 1):
        foot = np.array([side * 0.12, pedals + side * turn, seat[2] + 0.30 + side * turn])
        knee = (seat + foot) / 2 + [side * 0.05, 0.14, 0.20]
        shoulder = at(neck, side * 0.20, -0.06, 0)
        hand = at(grip, side * 0.24, 0, 0)
        elbow = (shoulder + hand) / 2 + [side * 0.06, -0.07, 0]
        parts += [
            tube([at(seat, side * 0.08, 0.02, 0), knee, at(foot, 0, 0.06, 0)], [0.10, 0.075, 0.05], legs, 7),
            box(at(foot, 0, 0.02, 0.06), (0.09, 0.08, 0.26), shoes),
            _arm(side, shoulder, elbow, hand, top, skin),
        ]
    return join(parts)


@cache
def bicycle(variant: int) -> tuple[Mesh, Mesh]:
    """A bicycle and its rider."""
    rng = np.random.default_rng([5, variant])
    paint = rgb(_pick(rng, CAR_COLORS))
    rear, front, crank = np.array([0, 0.34, -0.52]), np.array([0, 0.34, 0.52]), np.array([0, 0.28, -0.08])
    saddle, head = np.array([0, 0.88, -0.22]), np.array([0, 0.86, 0.34])
    bars = [(-0.27, 1.02, 0.26), (-0.12, 1.03, 0.36), (0.12, 1.03, 0.36), (0.27, 1.02, 0.26)]
    pipes = [(crank, saddle), (crank, head - [0, 0.1, -0.03]), (saddle - [0, 0.12, 0], head), (rear, crank)]
    pipes += [(rear, saddle - [0, 0.12, 0]), (head, front), (head, at(head, 0, 0.17, 0.02))]
    parts = [tube(p, 0.020, paint, 5, Material.PAINT) for p in pipes]
    parts += [
        tube(bars, 0.016, TRIM, 5),
        ellipsoid(at(saddle, 0, 0.03, 0), (0.10, 0.04, 0.15), TRIM, steps=(5, 8)),
        box((0, 0.60, -0.86), (0.06, 0.06, 0.02), TAIL * 2, Material.LAMP),
        *(_hoop(hub, 0.33, 0.022) for hub in (rear, front)),
    ]
    if rng.random() < 0.5:
        parts.append(box((0, 0.88, 0.58), (0.36, 0.26, 0.28), rgb("#5a5148")))
    return join(parts), rider(rng, at(saddle, 0, 0.06, 0), (0, 1.05, 0.27), 0.26, bool(rng.random() < 0.3))


@cache
def motorbike(variant: int) -> tuple[Mesh, Mesh]:
    """A scooter and its rider."""
    rng = np.random.default_rng([6, variant])
    paint = rgb(_pick(rng, CAR_COLORS))
    shell = [
        _oval((0, y, z), wide, long)
        for y, z, wide, long in (
            (0.36, -0.30, 0.16, 0.36),
            (0.55, -0.34, 0.19, 0.42),
            (0.72, -0.34, 0.15, 0.40),
        )
    ]
    shield = [
        ((x, 0.30 + 0.55 * k, 0.42 - 0.10 * k + 0.05 * (abs(x) < 0.1)))
        for k in (0, 1)
        for x in (-0.2, -0.08, 0.08, 0.2)
    ]
    bars = [(-0.33, 1.02, 0.26), (0, 1.00, 0.36), (0.33, 1.02, 0.26)]
    parts = [
        surface(shell, paint, Material.PAINT),
        surface(np.array(shield).reshape(2, 4, 3), paint, Material.PAINT, closed=False),
        ellipsoid((0, 0.76, -0.32), (0.16, 0.07, 0.42), TRIM),
        box((0, 0.30, 0.10), (0.34, 0.06, 0.66), TRIM),
        tube([(0, 0.24, 0.62), (0, 1.0, 0.36)], 0.035, TRIM, 6),
        tube(bars, 0.018, TRIM, 5),
        wheel_disc((0, 0.24, -0.55), 0.24, 0.11, TYRE),
        wheel_disc((0, 0.24, 0.62), 0.24, 0.11, TYRE),
        ellipsoid((0, 0.46, 0.62), (0.09, 0.05, 0.22), paint, Material.PAINT, (5, 8)),
        ellipsoid((0, 0.92, 0.42), (0.10, 0.09, 0.07), HEAD, Material.PAINT, (5, 8)),
        box((0, 0.62, -0.76), (0.16, 0.10, 0.05), TAIL * 2, Material.LAMP),
        box((0, 0.45, -0.78), (0.22, 0.15, 0.02), rgb("#d8d4c8")),
        *(ellipsoid((s * 0.36, 1.16, 0.28), (0.07, 0.05, 0.02), TRIM, steps=(4, 6)) for s in (-1, 1)),
    ]
    if rng.random() < 0.4:
        parts.append(
            box((0, 1.02, -0.72), (0.42, 0.40, 0.40), rgb(_pick(rng, ("#e0b020", "#2f7fc0", "#303338"))))
        )
    return join(parts), rider(rng, (0, 0.84, -0.18), (0, 1.04, 0.26), 0.36, True)


@cache
def tricycle(variant: int) -> Mesh:
    """A cargo tricycle with a cabin, a bed, and something under a sheet."""
    rng = np.random.default_rng([7, variant])
    paint, load = rgb(_pick(rng, CAR_COLORS)), rgb(_pick(rng, ("#8a7a5c", "#3e5f86", "#6f7c52", "#a3522f")))
    cabin_y = np.array([0.35, 0.95, 1.00, 1.50, 1.60, 1.62])
    wide = np.array([0.52, 0.54, 0.53, 0.48, 0.40, 0.02])
    fore = np.array([1.30, 1.28, 1.22, 0.98, 0.90, 0.70])
    plan = [
        (1, wide, 0.1),
        (1, wide, fore - 0.22),
        (1, wide * 0.75, fore),
        (-1, wide * 0.75, fore),
        (-1, wide, fore - 0.22),
        (-1, wide, 0.1),
    ]
    rings = np.stack([np.stack([s * w, cabin_y, np.full(6, 1.0) * z], -1) for s, w, z in plan], 1)
    glass = np.zeros((5, 6), bool)
    glass[2, [0, 2, 4, 5]] = True
    parts = [
        surface(
            rings, np.where(glass[..., None], GLASS, paint), np.where(glass, Material.GLASS, Material.PAINT)
        ),
        box((0, 0.62, -0.72), (1.06, 0.10, 1.60), paint * np.float32(0.7)),
        *(box((s * 0.52, 0.80, -0.72), (0.04, 0.34, 1.60), paint, Material.PAINT) for s in (-1, 1)),
        box((0, 0.80, -1.50), (1.06, 0.34, 0.04), paint, Material.PAINT),
        ellipsoid((0, 0.92, -0.72), (0.49, float(rng.uniform(0.22, 0.34)), 0.74), load, steps=(9, 14)),
        box((0, 0.50, -1.52), (0.24, 0.14, 0.02), rgb("#d8d4c8")),
        wheel_disc((0, 0.26, 1.05), 0.26, 0.12, TYRE),
        ellipsoid((0, 0.80, 1.30), (0.12, 0.10, 0.06), HEAD, Material.PAINT, (5, 8)),
    ]
    for s in (-1, 1):
        parts += [
            wheel_disc((s * 0.48, 0.28, -0.95), 0.28, 0.14, TYRE),
            box((s * 0.42, 0.56, -1.53), (0.14, 0.10, 0.04), TAIL * 2),
        ]
    return join(parts)


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[rng.integers(len(choices))]


def _oval(center: ArrayLike, x: float, z: float, count: int = 12) -> Floats:
    angle = np.arange(count) * (2 * np.pi / count)
    ring = np.stack([np.cos(angle) * x, 0 * angle, np.sin(angle) * z], -1)
    return np.asarray(center, np.float32) + ring.astype(np.float32)


def _torso(hips: ArrayLike, neck: ArrayLike, color: Floats) -> Mesh:
    low, high = np.asarray(hips, float), np.asarray(neck, float)
    steps = (
        (-0.05, 0.15, 0.11),
        (0.1, 0.165, 0.12),
        (0.45, 0.165, 0.115),
        (0.82, 0.20, 0.12),
        (0.95, 0.185, 0.095),
        (1.03, 0.10, 0.07),
        (1.06, 0.05, 0.05),
    )
    rings = [_oval(low + (high - low) * k, x, z) for k, x, z in steps]
    return join([surface(rings, color), fan(rings[0], color)])


def _head(center: ArrayLike, skin: Floats, hair: Floats, long: bool) -> Mesh:
    middle = np.asarray(center, float)
    parts = [
        ellipsoid(middle, (0.085, 0.125, 0.105), skin, steps=(7, 9)),
        ellipsoid(at(middle, 0, 0.035, -0.022), (0.096, 0.115, 0.105), hair, steps=(7, 9)),
        tube([middle - [0, 0.20, 0.03], middle - [0, 0.05, 0.01]], 0.052, skin, 6),
    ]
    if long:
        parts.append(ellipsoid(at(middle, 0, -0.10, -0.07), (0.10, 0.19, 0.06), hair, steps=(6, 8)))
    return join(parts)


def _arm(
    side: int, shoulder: ArrayLike, elbow: ArrayLike, hand: ArrayLike, sleeve: Floats, skin: Floats
) -> Mesh:
    fist = np.asarray(hand, float)
    return join(
        [
            ellipsoid(np.asarray(shoulder, float), (0.072, 0.075, 0.07), sleeve, steps=(5, 7)),
            tube([shoulder, elbow, fist], [0.062, 0.05, 0.04], sleeve, 6),
            ellipsoid(fist, (0.04, 0.06, 0.04), skin, steps=(4, 5)),
        ]
    )


def _hoop(hub: ArrayLike, radius: float, thick: float) -> Mesh:
    """A tyre with a few spokes, in the plane across the x axis."""
    center = np.asarray(hub, float)
    angle = np.arange(24) * (2 * np.pi / 24)
    out = np.stack([0 * angle, np.cos(angle), np.sin(angle)], -1)
    ring = center + out * radius
    around = np.arange(5) * (2 * np.pi / 5)
    rings = [
        ring + out * thick * np.cos(a) + np.array([1, 0, 0]) * thick * np.sin(a) for a in np.append(around, 0)
    ]
    tyre = surface(rings, TYRE)
    spokes = [tube([center, center + out[i] * radius], 0.005, rgb("#9a9da0"), 3) for i in range(0, 24, 3)]
    return join([tyre, *spokes, wheel_disc(center, 0.045, 0.07, TRIM, 8)])
