"""A canvas on which every shape is painted for the eye and for the annotation at once.

Points are (x, y, z) in metres: right, up, ahead. Label maps are the same bytes on any machine: polygons have
integer corners, made from random numbers by addition, multiplication, division and square root alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Color = tuple[int, ...]
Dot = tuple[float, float]
Point = tuple[float, float, float]
Quad = Sequence[Point]
ARC = ((0.0, 1.0), (0.5, 0.866), (0.866, 0.5), (1.0, 0.0), (0.866, -0.5), (0.5, -0.866), (0.0, -1.0))
CIRCLE = ARC + tuple((-a, -b) for a, b in ARC[1:-1])
NEAREST = 0.6
"""Metres: what is nearer is moved to this distance."""


def rgb(codes: str) -> list[Color]:
    """Colours from hexadecimal codes, `5c5c5f a39d92`."""
    return [tuple(bytes.fromhex(code)) for code in codes.split()]


class View(NamedTuple):
    """A pinhole camera that looks along z."""

    focal: float  # pixels
    column: float
    row: float  # of the horizon
    x: float
    height: float
    bend: float  # of the road: what lies straight ahead at z appears bend * z * z to the right

    def __call__(self, point: Point) -> Dot:
        x, y, z = point[0], point[1], max(point[2], NEAREST)
        scale = self.focal / z
        return self.column + scale * (x - self.x + self.bend * z * z), self.row + scale * (self.height - y)


class Place(NamedTuple):
    """Where a thing stands, and which way it faces: (dx, dz) is a unit vector."""

    x: float
    z: float
    dx: float = 0.0
    dz: float = 1.0
    y: float = 0.0

    def __call__(self, ahead: float, up: float, right: float) -> Point:
        x = self.x + ahead * self.dx + right * self.dz
        return x, self.y + up, self.z + ahead * self.dz - right * self.dx


@dataclass(frozen=True)
class Light:
    """Weather and time of day; colours are factors of 255."""

    zenith: Color
    horizon: Color
    sun: Color  # what white looks like
    haze: float  # metres after which half of the contrast is gone
    clouds: float  # cover, 0..1
    lit: float  # share of windows with a light on
    side: int  # of the sun: -1 left, 1 right


def inside(quad: Quad, u: float, v: float) -> Point:
    """A point of a quadrilateral; its corners are (0, 0), (1, 0), (1, 1), (0, 1)."""
    a, b, c, d = ((1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v)
    (x0, y0, z0), (x1, y1, z1), (x2, y2, z2), (x3, y3, z3) = quad
    return (
        a * x0 + b * x1 + c * x2 + d * x3,
        a * y0 + b * y1 + c * y2 + d * y3,
        a * z0 + b * z1 + c * z2 + d * z3,
    )


class Canvas:
    """A picture at twice its size, and which object is seen at every pixel of it."""

    def __init__(self, size: tuple[int, int], view: View, light: Light, sky: Image.Image) -> None:
        self.size, self.view, self.light = size, view, light
        self.image = sky
        self.objects = Image.new("I", (size[1], size[0]))
        self._pen = ImageDraw.Draw(self.image)
        self._glaze = ImageDraw.Draw(self.image, "RGBA")
        self._marker = ImageDraw.Draw(self.objects)
        self.labels: list[int] = []
        self._air = 0.0

    def thing(self, label: int, z: float) -> None:
        """What is painted from here on belongs to a new object, z metres away."""
        self.labels.append(label)
        self.away(z)

    def away(self, z: float) -> None:
        """How much air there is before what is painted from here on."""
        self._air = 1 - 1 / (1 + max(z, 0.0) / self.light.haze)

    def tone(self, color: Color, shade: float = 1.0) -> Color:
        """A colour as it looks in this light, and through the air before it."""
        direct = shade * (1 - self._air) / 255
        return tuple(
            min(255, int(c * s * direct + self._air * h))
            for c, s, h in zip(color, self.light.sun, self.light.horizon, strict=True)
        )

    def fill(self, dots: Sequence[Dot], color: Color, shade: float = 1.0, mark: bool = True) -> None:
        """Paint a polygon of the picture; without `mark`, on an object that is there already."""
        self._pen.polygon([(int(2 * c), int(2 * r)) for c, r in dots], self.tone(color, shade))
        if mark:
            self._marker.polygon([(int(c), int(r)) for c, r in dots], len(self.labels) - 1)

    def paint(self, points: Quad, color: Color, shade: float = 1.0, mark: bool = True) -> None:
        """Paint a flat shape of the current object."""
        self.fill([self.view(p) for p in points], color, shade, mark)

    def glaze(self, points: Quad, color: Color) -> None:
        """Tint what is there; the fourth number of the colour is its strength."""
        self._glaze.polygon([(int(2 * c), int(2 * r)) for c, r in map(self.view, points)], color)

    def patch(self, quad: Quad, box: Sequence[float], color: Color, shade: float = 1.0) -> None:
        """Paint a rectangle (u0, v0, u1, v1) on a face of the current object."""
        u0, v0, u1, v1 = box
        corners = [inside(quad, u, v) for u, v in ((u0, v0), (u1, v0), (u1, v1), (u0, v1))]
        self.paint(corners, color, shade, mark=False)

    def facing(self, points: Quad) -> bool:
        """Whether the corners run anticlockwise in the picture."""
        dots = [self.view(p) for p in points]
        return sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(dots, dots[1:] + dots[:1], strict=True)) < 0

    def limb(self, start: Point, end: Point, radii: Dot, color: Color, shade: float = 1.0) -> None:
        """Paint a rod with round ends."""
        (c0, r0), (c1, r1) = self.view(start), self.view(end)
        first, last = (r * self.view.focal / max(p[2], NEAREST) for r, p in zip(radii, (start, end), strict=True))
        length = sqrt((c1 - c0) * (c1 - c0) + (r1 - r0) * (r1 - r0))
        along, down = ((c1 - c0) / length, (r1 - r0) / length) if length > 0 else (0.0, 1.0)
        half = [(a * along - b * down, a * down + b * along) for a, b in ARC]
        dots = [(c1 + last * a, r1 + last * b) for a, b in half]
        self.fill(dots + [(c0 - first * a, r0 - first * b) for a, b in half], color, shade)

    def disc(self, centre: Point, radius: float, color: Color, shade: float = 1.0) -> None:
        """Paint a circle that faces the camera."""
        (column, row), size = self.view(centre), radius * self.view.focal / max(centre[2], NEAREST)
        self.fill([(column + size * a, row + size * b) for a, b in CIRCLE], color, shade)

    def board(self, centre: Point, half: float, high: float, color: Color) -> list[Point]:
        """Paint a rectangle that faces the camera; returns its corners."""
        x, y, z = centre
        quad = [(x + s * half, y + t * high, z) for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
        self.paint(quad, color)
        return quad

    def rim(self, place: Place, ahead: float, wheel: float, right: float, color: Color, share: float = 1.0) -> None:
        """Paint a wheel that stands on the ground, or the inner share of it."""
        radius = share * wheel
        self.paint([place(ahead + radius * a, wheel + radius * b, right) for a, b in CIRCLE], color)

    def leaves(self, rng: np.random.Generator, clumps: NDArray[np.float64], count: int, color: Color) -> None:
        """Paint foliage: clumps are rows of column, row and radius in pixels."""
        near = clumps[(rng.random(count) * len(clumps)).astype(int)]
        offset = rng.random((count, 2)) + rng.random((count, 2)) + rng.random((count, 2)) - 1.5
        centre = near[:, :2] + 1.25 * near[:, 2:] * offset
        middle, spread = clumps[:, :2].mean(0), clumps[:, 2].max() * 4
        height = (offset[:, 1] * 0.5 + (centre[:, 1] - middle[1]) / spread) + 0.25 * rng.random(count)
        across = (offset[:, 0] * 0.3 + (centre[:, 0] - middle[0]) / spread) * -self.light.side
        shade = 0.78 - 0.5 * height - 0.3 * across + 0.12 * rng.random(count)
        size = near[:, 2:, None] * (0.10 + 0.16 * rng.random((count, 5, 1)))
        dots = centre[:, None] + size * (np.array(CIRCLE[1:11:2]) + 0.7 * rng.random((count, 5, 2)) - 0.35)
        for i in np.argsort(shade, kind="stable").tolist():
            self.fill(dots[i].tolist(), color, float(shade[i]))
