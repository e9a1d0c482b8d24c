"""Meshes: coloured triangles with normals, and the solids that everything in a scene is made of.

Lengths are metres; x points right, y up, z away from the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]


class Material(IntEnum):
    """How a surface takes the light."""

    MATTE = 0
    PAINT = 1  # car paint: clear coat over colour
    GLASS = 2
    ASPHALT = 3
    PAVING = 4
    PLASTER = 5
    BRICK = 6
    LEAVES = 7
    LAMP = 8  # shines by itself
    GRASS = 9
    MARKING = 10  # worn paint on the road


@dataclass(frozen=True)
class Mesh:
    """Triangles: corners and normals (n, 3, 3), colours (n, 3) as linear reflectance, materials (n,)."""

    corners: Floats
    normals: Floats
    colors: Floats
    materials: NDArray[np.int32]

    def placed(
        self, x: float = 0.0, y: float = 0.0, z: float = 0.0, yaw: float = 0.0, scale: float = 1.0
    ) -> Mesh:
        """Turned about the vertical axis by `yaw` radians (from z towards x), scaled, then moved."""
        shift = np.array([x, y, z], np.float32)
        if yaw == 0.0:
            return replace(self, corners=self.corners * np.float32(scale) + shift)
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]], np.float32)
        corners = (self.corners.reshape(-1, 3) @ (turn * np.float32(scale)) + shift).reshape(-1, 3, 3)
        return replace(self, corners=corners, normals=(self.normals.reshape(-1, 3) @ turn).reshape(-1, 3, 3))

    def mirrored(self) -> Mesh:
        """Reflected left to right."""
        flip = np.array([-1, 1, 1], np.float32)
        return replace(self, corners=self.corners * flip, normals=self.normals * flip)


CUBE = np.array(
    [
        [[-1, 1, -1], [1, 1, -1], [1, -1, -1], [-1, -1, -1]],
        [[-1, -1, 1], [1, -1, 1], [1, 1, 1], [-1, 1, 1]],
        [[-1, -1, -1], [-1, -1, 1], [-1, 1, 1], [-1, 1, -1]],
        [[1, 1, -1], [1, 1, 1], [1, -1, 1], [1, -1, -1]],
        [[-1, 1, 1], [1, 1, 1], [1, 1, -1], [-1, 1, -1]],
        [[-1, -1, -1], [1, -1, -1], [1, -1, 1], [-1, -1, 1]],
    ],
    np.float32,
) / np.float32(2)


def rgb(color: str | ArrayLike) -> Floats:
    """Linear reflectance of an sRGB colour, "#rrggbb" or three numbers in 0..1."""
    if isinstance(color, str):
        color = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return np.asarray(color, np.float32) ** np.float32(2.2)


def at(points: ArrayLike, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> NDArray[np.float64]:
    """One point or an array of points (..., 3), moved."""
    return np.add(points, (x, y, z), dtype=np.float64)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles in one mesh."""
    return Mesh(
        np.concatenate([m.corners for m in meshes]),
        np.concatenate([m.normals for m in meshes]),
        np.concatenate([m.colors for m in meshes]),
        np.concatenate([m.materials for m in meshes]),
    )


def quads(points: ArrayLike, color: Any, material: ArrayLike = Material.MATTE) -> Mesh:
    """Flat four-cornered faces.

    Parameters
    ----------
    points
        (n, 4, 3) or (4, 3) corners, in order around each face.
    color
        "#rrggbb", or linear reflectance, one for all or (n, 3).
    material
        One for all, or (n,).
    """
    p = np.asarray(points, np.float32).reshape(-1, 4, 3)
    normals = np.empty((len(p), 6, 3), np.float32)
    normals[:] = _unit(cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1]))[:, None]
    return _mesh(p[:, [0, 1, 2, 0, 2, 3]], normals, color, material, (len(p),))


def box(center: ArrayLike, size: ArrayLike, color: Any, material: Material = Material.MATTE) -> Mesh:
    """An upright box of the given centre and size."""
    return quads(np.asarray(center, np.float32) + CUBE * np.asarray(size, np.float32), color, material)


def surface(grid: ArrayLike, color: Any, material: ArrayLike = Material.MATTE, closed: bool = True) -> Mesh:
    """A smoothly shaded surface through a grid of points, its normals pointing away from its middle.

    Parameters
    ----------
    grid
        (a, b, 3) points; the second axis runs around if `closed`.
    color, material
        One for all, or one a cell: (a-1, cells, 3) and (a-1, cells), where cells is b if closed, else b-1.
    """
    p = np.asarray(grid, np.float32)
    if closed:
        p = np.concatenate([p, p[:, :1]], 1)
    along, around = np.empty_like(p), np.empty_like(p)
    along[1:-1], along[0], along[-1] = p[2:] - p[:-2], p[1] - p[0], p[-1] - p[-2]
    around[:, 1:-1] = p[:, 2:] - p[:, :-2]
    around[:, 0] = p[:, 1] - p[:, -2 if closed else 0]
    around[:, -1] = around[:, 0] if closed else p[:, -1] - p[:, -2]
    normals = _unit(cross(along, around))
    if np.vdot(normals, p - p.mean((0, 1))) < 0:
        normals = -normals
    return _mesh(_cells(p), _cells(normals), color, material, (p.shape[0] - 1, p.shape[1] - 1))


def fan(ring: ArrayLike, color: Any, material: Material = Material.MATTE) -> Mesh:
    """The flat face inside a ring of points (b, 3)."""
    p = np.asarray(ring, np.float32)
    corners = np.empty((len(p), 3, 3), np.float32)
    corners[:, 0], corners[:, 1], corners[:-1, 2], corners[-1, 2] = p.mean(0), p, p[1:], p[0]
    normals = np.empty_like(corners)
    normals[:] = _unit(cross(p[1] - p[0], p[2] - p[0]))
    return Mesh(corners, normals, _colors(color, (len(p),)), np.full(len(p), material, np.int32))


def tube(
    points: Any, radii: ArrayLike, color: Any, sides: int = 8, material: Material = Material.MATTE
) -> Mesh:
    """A round bar through points (a, 3), of radii (a,) or one radius, closed at both ends."""
    p = np.asarray(points, np.float32)
    r = np.broadcast_to(np.asarray(radii, np.float32), len(p))
    direction = np.empty_like(p)
    direction[1:-1], direction[0], direction[-1] = p[2:] - p[:-2], p[1] - p[0], p[-1] - p[-2]
    direction = _unit(direction)
    helper = np.where(np.abs(direction[:, 1:2]) > 0.9, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    first = _unit(cross(direction, helper))
    second = cross(direction, first)
    angle = np.arange(sides) * (2 * np.pi / sides)
    offsets = first[:, None] * np.cos(angle)[:, None] + second[:, None] * np.sin(angle)[:, None]
    rings = p[:, None] + offsets * r[:, None, None]
    return join(
        [
            surface(rings, color, material),
            fan(rings[0, ::-1], color, material),
            fan(rings[-1], color, material),
        ]
    )


def ellipsoid(
    center: ArrayLike,
    radii: ArrayLike,
    color: Any,
    material: Material = Material.MATTE,
    steps: tuple[int, int] = (7, 10),
) -> Mesh:
    """An ellipsoid of the given centre and half axes."""
    down = np.linspace(0.02, np.pi - 0.02, steps[0])[:, None]
    angle = np.arange(steps[1]) * (2 * np.pi / steps[1])
    unit = np.stack(
        [np.sin(down) * np.cos(angle), np.cos(down) + 0 * angle, np.sin(down) * np.sin(angle)],
        -1,
    )
    return surface(np.asarray(center) + unit * np.asarray(radii), color, material)


def wheel_disc(center: ArrayLike, radius: float, width: float, color: Any, sides: int = 16) -> Mesh:
    """A cylinder whose axis is the x axis."""
    angle = np.arange(sides) * (2 * np.pi / sides)
    ring = np.stack([0 * angle, np.cos(angle) * radius, np.sin(angle) * radius], -1)
    ends = [np.asarray(center) + ring + [side * width / 2, 0, 0] for side in (-1, 1)]
    return join([surface(ends, color), fan(ends[0], color), fan(ends[1], color)])


def _mesh(corners: Floats, normals: Floats, color: Any, material: ArrayLike, shape: tuple[int, ...]) -> Mesh:
    """Four-cornered cells (..., 6, 3), as two triangles each, with one colour and material a cell."""
    kinds = np.empty(shape, np.int32)
    kinds[...] = material
    shades = _colors(color, shape).reshape(-1, 3)
    return Mesh(
        corners.reshape(-1, 3, 3), normals.reshape(-1, 3, 3), shades.repeat(2, 0), kinds.reshape(-1).repeat(2)
    )


def _colors(color: Any, shape: tuple[int, ...]) -> Floats:
    shades = np.empty((*shape, 3), np.float32)
    shades[...] = rgb(color) if isinstance(color, str) else color
    return shades


def _cells(p: Floats) -> Floats:
    """(a-1, b-1, 6, 3) the two triangles of each cell of a grid of points (a, b, 3)."""
    cells = np.empty((p.shape[0] - 1, p.shape[1] - 1, 6, 3), np.float32)
    cells[:, :, 0] = cells[:, :, 3] = p[:-1, :-1]
    cells[:, :, 1] = p[1:, :-1]
    cells[:, :, 2] = cells[:, :, 4] = p[1:, 1:]
    cells[:, :, 5] = p[:-1, 1:]
    return cells


def cross(a: Any, b: Any) -> Any:
    """Cross product along the last axis (as np.cross, which takes several times as long)."""
    ax, ay, az, bx, by, bz = a[..., 0], a[..., 1], a[..., 2], b[..., 0], b[..., 1], b[..., 2]
    product = np.empty_like(a)
    product[..., 0] = ay * bz - az * by
    product[..., 1] = az * bx - ax * bz
    product[..., 2] = ax * by - ay * bx
    return product


def _unit(vectors: Any) -> Any:
    return vectors / np.maximum(np.sqrt((vectors * vectors).sum(-1, keepdims=True)), 1e-9)
