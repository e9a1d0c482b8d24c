"""Houses along the street: walls in bays and floors, windows, shops, balconies, roofs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets.scenes.mesh import Floats, Material, Mesh, box, join, quads, rgb
from pipeline.datasets.scenes.shops import shops
from pipeline.datasets.scenes.walls import Wall

PLASTERS = (
    "#d8c9ae",
    "#c9b79c",
    "#e3dccb",
    "#b9a68c",
    "#c7cbc9",
    "#d9b99b",
    "#a9b3b8",
    "#cdb4a0",
    "#e0d2b4",
    "#b7a9a0",
)
BRICKS = ("#9c5a44", "#8a5140", "#a9714f", "#b58463", "#7c4a3e", "#94705a")
CURTAIN_WALLS = ("#5f7482", "#74838c", "#4d5f6b", "#8a959a")


@dataclass(frozen=True)
class Style:
    """What a building's walls look like."""

    wall: Floats
    material: Material
    trim: Floats
    floor: float  # height of a storey
    bay: float  # width of a bay
    window: tuple[float, float]  # share of bay and storey that is glass
    balconies: float  # share of bays
    shops: bool
    lit: float  # share of windows with a light on


def style(rng: np.random.Generator, lit: float) -> Style:
    """A random style: plaster, brick or curtain wall."""
    kind = rng.choice(3, p=[0.5, 0.32, 0.18])
    names = (PLASTERS, BRICKS, CURTAIN_WALLS)[kind]
    wall = rgb(names[rng.integers(len(names))]) * np.float32(rng.uniform(0.85, 1.05))
    trim = rgb("#e6e2d8") if rng.random() < 0.6 else wall * np.float32(0.55)
    tall = kind == 2
    return Style(
        wall,
        (Material.PLASTER, Material.BRICK, Material.PLASTER)[kind],
        wall * np.float32(0.7) if tall else trim,
        float(rng.uniform(3.1, 3.7)),
        float(rng.uniform(1.6, 2.2) if tall else rng.uniform(2.5, 3.8)),
        (0.88, 0.74) if tall else (float(rng.uniform(0.38, 0.62)), float(rng.uniform(0.44, 0.58))),
        0.0 if tall else float(rng.choice([0.0, 0.0, 0.25, 0.5])),
        bool(rng.random() < 0.7),
        lit,
    )


def building(
    rng: np.random.Generator,
    side: int,
    x: float,
    z0: float,
    z1: float,
    depth: float,
    floors: int,
    look: Style,
) -> Mesh:
    """A building on one side of the street.

    Parameters
    ----------
    side
        -1: left of the street, 1: right.
    x
        Distance of its front from the street's middle.
    z0, z1
        Its near and its far end.
    depth
        How far it reaches back from the street.
    floors
        Storeys above the ground floor.
    """
    ground = 4.2 if look.shops else look.floor
    height = ground + floors * look.floor + 0.5
    front = Wall(
        np.array([side * x, 0, z0]), np.array([0, 0, 1.0]), np.array([-side, 0.0, 0]), z1 - z0, height
    )
    end = Wall(np.array([side * x, 0, z0]), np.array([side, 0, 0.0]), np.array([0, 0.0, -1.0]), depth, height)
    parts = [_roof(rng, side, x, z0, z1, depth, height, look)]
    for wall, trade in ((front, look.shops), (end, False)):
        bays = max(1, round(wall.length / look.bay))
        parts += [_walls(wall, bays, look), _windows(rng, wall, bays, floors, ground, look)]
        parts += [wall.ledge(-0.15, wall.length + 0.15, height - 0.35, height, 0.35, look.trim)]
        parts += [wall.ledge(0, wall.length, ground - 0.15, ground + 0.1, 0.15, look.trim)]
        if trade:
            parts.append(shops(rng, wall, bays, ground))
        else:
            parts.append(_openings(rng, wall, (np.arange(bays), np.zeros(bays)), bays, (1.0, 2.4), look))
    if look.balconies:
        parts += _balconies(rng, front, floors, ground, look)
    return join(parts)


def _walls(wall: Wall, bays: int, look: Style) -> Mesh:
    """Bare walls, bay by bay, so that what reaches behind the camera can be left out in pieces."""
    s = np.linspace(0, wall.length, bays + 1)
    return quads(wall.patches(s[:-1], s[1:], 0, wall.height, 0.0), look.wall, look.material)


def _windows(
    rng: np.random.Generator, wall: Wall, bays: int, floors: int, ground: float, look: Style
) -> Mesh:
    bay, floor = np.meshgrid(np.arange(bays), np.arange(floors))
    tall = look.window[1] * look.floor
    foot = ground + floor.ravel() * look.floor + (look.floor - tall) * 0.55
    return _openings(rng, wall, (bay.ravel(), foot), bays, (0.0, tall), look)


def _openings(
    rng: np.random.Generator,
    wall: Wall,
    where: tuple[NDArray[Any], NDArray[Any]],
    bays: int,
    span: tuple[float, float],
    look: Style,
) -> Mesh:
    """Windows at (bay, height of the foot): frame, two panes, the lintel's shadow, a sill."""
    bay, foot = where
    step = wall.length / bays
    half = look.window[0] * step / 2
    s, low, high = (bay + 0.5) * step, foot + span[0], foot + span[1]
    count = len(s)
    draw = rng.random(count)
    panes = rgb("#222a31") * rng.uniform(0.6, 1.6, (count, 1)).astype(np.float32)
    curtains, lit = draw < 0.16, draw > 1 - look.lit
    panes[curtains] = rgb("#b9ae9a") * rng.uniform(0.5, 1.0, (curtains.sum(), 1)).astype(np.float32)
    panes[lit] = rgb("#ffcf8a") * rng.uniform(0.5, 1.1, (lit.sum(), 1)).astype(np.float32)
    material = np.where(lit, Material.LAMP, np.where(curtains, Material.MATTE, Material.GLASS))
    edge, shade = 0.07, (high - low) * 0.10
    glass = [
        wall.patches(s - half, s - 0.03, low, high, 0.03),
        wall.patches(s + 0.03, s + half, low, high, 0.03),
    ]
    return join(
        [
            quads(wall.patches(s - half - edge, s + half + edge, low - edge, high + edge, 0.015), look.trim),
            quads(glass[0], panes, material),
            quads(glass[1], panes, material),
            quads(wall.patches(s - half, s + half, high - shade, high, 0.04), look.wall * np.float32(0.22)),
            quads(wall.patches(s - half - 0.12, s + half + 0.12, low - 0.16, low - 0.04, 0.06), look.trim),
        ]
    )


def _balconies(rng: np.random.Generator, wall: Wall, floors: int, ground: float, look: Style) -> list[Mesh]:
    bays = max(1, round(wall.length / look.bay))
    step = wall.length / bays
    columns = np.flatnonzero(rng.random(bays) < look.balconies)
    parts = []
    for bay in columns:
        for floor in range(1, floors):
            s, t = (bay + 0.5) * step, ground + floor * look.floor
            wide = step * 0.42
            parts += [wall.ledge(s - wide, s + wide, t, t + 0.16, 1.0, look.trim)]
            rail = wall.patches(s - wide, s + wide, t + 0.16, t + 1.05, 0.98)
            parts.append(quads(rail, look.wall * np.float32(0.8), look.material))
    return parts


def _roof(
    rng: np.random.Generator,
    side: int,
    x: float,
    z0: float,
    z1: float,
    depth: float,
    height: float,
    look: Style,
) -> Mesh:
    """A flat roof with what stands on it."""
    parts = [
        box(
            (side * (x + depth / 2), height - 0.2, (z0 + z1) / 2),
            (depth, 0.1, z1 - z0),
            look.wall * np.float32(0.5),
        )
    ]
    for _ in range(rng.integers(1, 4)):
        size = rng.uniform([1.5, 1.0, 1.5], [4.0, 3.0, 4.0])
        place = (
            side * (x + rng.uniform(2.5, max(3.0, depth - 3))),
            height + size[1] / 2,
            rng.uniform(z0 + 2, max(z0 + 2.5, z1 - 2)),
        )
        parts.append(box(place, size, look.wall * np.float32(rng.uniform(0.6, 0.95))))
    return join(parts)


def skyline(rng: np.random.Generator, z: float, wide: float) -> Mesh:
    """Distant towers across the end of the street."""
    parts, x = [], -wide
    while x < wide:
        size = rng.uniform([9, 12, 8], [22, 58, 16])
        tint = rgb(PLASTERS[rng.integers(len(PLASTERS))]) * np.float32(rng.uniform(0.5, 0.8))
        far = z + float(rng.uniform(0, 90))
        parts.append(box((x, size[1] / 2, far), size, tint))
        rows, columns = np.meshgrid(
            np.arange(3, size[1] - 2, 3.4), np.arange(1.2, size[0] - 1.5, 2.6), indexing="ij"
        )
        wall = Wall(
            np.array([x - size[0] / 2, 0, far - size[2] / 2]),
            np.array([1.0, 0, 0]),
            np.array([0, 0, -1.0]),
            size[0],
            size[1],
        )
        parts.append(
            quads(
                wall.patches(columns, columns + 1.5, rows, rows + 1.8, 0.1),
                tint * np.float32(0.35),
                Material.GLASS,
            )
        )
        x += size[0] + float(rng.uniform(-1, 7))
    return join(parts)
