"""A canvas on which every shape is painted for the eye and for the annotation at once.

Points are (x, y, z) in metres: right, up, ahead. Label maps are the same bytes on any machine: polygons have
integer corners, made from random numbers by addition, multiplication, division and square root alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Numbers = tuple[float, ...]
Color = tuple[int, ...]
ARC = ((0.0, 1.0), (0.5, 0.866), (0.866, 0.5), (1.0, 0.0), (0.866, -0.5), (0.5, -0.866), (0.0, -1.0))
CIRCLE = ARC + tuple((-a, -b) for a, b in ARC[1:-1])
NEAREST = 0.6  # metres: what is nearer is moved to this distance
MOODS = """2a62b4 b4cfe8 fffaf0 420 .35 0; 3f74b8 c3d3e2 fff4e2 300 .65 .02; 46629a f2cfa4 ffe4c0 220 .55 .1;
8e9aa8 ccd2d6 d8dce2 150 .95 .08; 4a5684 e4aa94 dcbcae 160 .6 .3"""
"""Colours of zenith, horizon, and what is white; metres of haze, cover of clouds, share of lit windows."""
GRAIN = {"road": 26, "sidewalk": 20, "vegetation": 14, "building": 8, "wall": 12, "sky": 2}
"""Strength of the texture by class, grey levels; 4 elsewhere."""


def rgb(codes: str) -> list[Color]:
    """Colours from hexadecimal codes, `5c5c5f a39d92`."""
    return [tuple(bytes.fromhex(code)) for code in codes.split()]


def corners(left: float, low: float, right: float, high: float) -> tuple[Numbers, ...]:
    """Those of a rectangle, around it."""
    return (left, low), (right, low), (right, high), (left, high)


class Place(NamedTuple):
    """Where a thing stands, and which way it faces: (dx, dz) is a unit vector."""

    x: float
    z: float
    dx: float = 0.0
    dz: float = 1.0

    def __call__(self, *point: float) -> Numbers:
        ahead, up, right = point
        return self.x + ahead * self.dx + right * self.dz, up, self.z + ahead * self.dz - right * self.dx


class Canvas:
    """A picture at twice its size, in a weather of its own, and which object is at every pixel of it."""

    def __init__(self, seed: int, index: int, size: tuple[int, int]) -> None:
        self.rng, self.noise = Random(f"{seed} {index}"), np.random.default_rng([seed, index])
        chance, self.size, self.focal, self.labels = self.rng.uniform, size, 0.68 * size[1], ["sky"]
        self.column, self.row = size[1] * chance(0.46, 0.54), size[0] * chance(0.54, 0.59)  # of the far end
        self.aside, self.height, self.bend = chance(-0.3, 0.3), chance(1.5, 1.7), chance(-7e-4, 7e-4)
        colors, numbers = np.split(
            np.array(self.rng.choices(MOODS.split(";"), (5, 4, 3, 2, 2))[0].split()), [3]
        )
        self.zenith, self.horizon, self.white = rgb(" ".join(colors))
        self.haze, self.clouds, self.lit = map(float, numbers)
        self.sun = self.rng.choice((-1, 1))  # its side
        self.image, self.objects = self._sky(), Image.new("I", (size[1], size[0]))
        self._pen, self._glaze = ImageDraw.Draw(self.image), ImageDraw.Draw(self.image, "RGBA")
        self._marker = ImageDraw.Draw(self.objects)

    def thing(self, label: str, z: float) -> None:
        """What is painted from here on belongs to a new object, z metres away."""
        self.labels.append(label)
        self.distance = z

    def view(self, point: Numbers) -> Numbers:
        """Column and row of a point, seen by a pinhole camera on a road that bends."""
        x, y, z = point[0], point[1], max(point[2], NEAREST)
        scale = self.focal / z
        return self.column + scale * (x - self.aside + self.bend * z * z), self.row + scale * (
            self.height - y
        )

    def fill(self, dots: Sequence[Numbers], color: Color, shade: float = 1.0, mark: bool = True) -> None:
        """Paint a polygon, given in pixels; without `mark`, on an object that is there already.

        A fourth number of the colour is its strength, when it only tints what is there.
        """
        clear = 1 / (1 + max(self.distance, 0.0) / self.haze)
        mixed = zip(color, self.white, self.horizon, strict=False)
        tone = [min(255, int(c * w * shade * clear / 255 + (1 - clear) * h)) for c, w, h in mixed]
        pen = self._glaze if len(color) > 3 else self._pen
        pen.polygon([(int(2 * c), int(2 * r)) for c, r in dots], (*tone, *color[3:]))
        if mark:
            self._marker.polygon([(int(c), int(r)) for c, r in dots], len(self.labels) - 1)

    def paint(self, points: Iterable[Numbers], color: Color, shade: float = 1.0, mark: bool = True) -> None:
        """Paint a flat shape of the current object."""
        self.fill([self.view(p) for p in points], color, shade, mark)

    def patch(self, quad: Sequence[Numbers], box: Numbers, color: Color, shade: float = 1.0) -> None:
        """Paint a rectangle (u0, v0, u1, v1) on a face of the current object, whose own is (0, 0, 1, 1)."""
        points = []
        for u, v in corners(*box):
            p, q, r, s = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
            points.append(tuple(p * a + q * b + r * c + s * d for a, b, c, d in zip(*quad, strict=True)))
        self.paint(points, color, shade, mark=False)

    def facing(self, points: Iterable[Numbers]) -> bool:
        """Whether the corners run anticlockwise in the picture."""
        dots = [self.view(p) for p in points]
        return sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(dots, dots[1:] + dots[:1], strict=True)) < 0

    def rod(self, start: Numbers, end: Numbers, radii: Numbers, color: Color) -> None:
        """Paint a rod with round ends."""
        (c0, r0), (c1, r1) = self.view(start), self.view(end)
        first, last = (r * self.focal / max(p[2], NEAREST) for r, p in zip(radii, (start, end), strict=True))
        length = sqrt((c1 - c0) * (c1 - c0) + (r1 - r0) * (r1 - r0)) or 1.0
        along, down = (c1 - c0) / length, (r1 - r0) / length
        half = [(a * along - b * down, a * down + b * along) for a, b in ARC]
        dots = [(c1 + last * a, r1 + last * b) for a, b in half]
        self.fill([*dots, *((c0 - first * a, r0 - first * b) for a, b in half)], color)

    def leaves(self, clumps: NDArray[np.float64], count: int, color: Color) -> None:
        """Paint foliage, lit from above and one side: clumps are rows of column, row, radius in pixels."""
        random = self.noise.random
        near, offset = (
            clumps[(random(count) * len(clumps)).astype(int)],
            0.9 * random((2, count, 2)).sum(0) - 0.9,
        )
        centre, middle = near[:, :2] + near[:, 2:] * offset, (clumps.max(0) + clumps.min(0)) / 2
        tilt = 0.35 * offset + (centre - middle[:2]) / (8 * middle[2])
        shade = 0.68 - tilt[:, 1] + 0.5 * self.sun * tilt[:, 0] + 0.25 * random(count)
        size = near[:, 2:, None] * (0.09 + 0.12 * random((count, 5, 1)))
        dots = centre[:, None] + size * (np.array(CIRCLE[1:11:2]) + 0.8 * random((count, 5, 2)) - 0.4)
        for column, row, radius in clumps.tolist():
            self.fill([(column + 0.7 * radius * a, row + 0.7 * radius * b) for a, b in CIRCLE], color, 0.5)
        ragged = np.abs(offset).max(1) > 0.3
        for i in np.argsort(shade, kind="stable").tolist():
            self.fill(dots[i].tolist(), color, max(0.35, float(shade[i])), mark=bool(ragged[i]))

    def _sky(self) -> Image.Image:
        """The backdrop: a gradient, and clouds that flatten towards the horizon."""
        rows, columns, noise = np.arange(240)[:, None], np.arange(320), np.zeros((240, 320))
        for i in range(5):
            grid = Image.fromarray(self.noise.random((3 << i, 3 << i), np.float32))
            noise += np.asarray(grid.resize((320, 240), Image.Resampling.BICUBIC)) / 2 ** (i + 1)
        up = np.clip(1 - rows * self.size[0] / 240 / self.row, 0, 1)
        noise = noise[((np.minimum(1, 0.12 / (up + 0.08)) * 96).astype(int) + rows) % 240, columns][..., None]
        up, (zenith, horizon, white) = up[..., None], np.array([self.zenith, self.horizon, self.white])
        cover = np.clip((noise - 0.76 + 0.55 * self.clouds) * 4, 0, 0.9) * np.minimum(1, 6 * up)
        blue = horizon + (zenith - horizon) * np.minimum(1, 1.25 * up) ** 0.7
        cloud = (0.45 * horizon + 0.55 * white) * (1.04 - 0.3 * noise * self.clouds)
        picture = Image.fromarray(np.clip(blue + cover * (cloud - blue), 0, 255).astype(np.uint8))
        return picture.resize((2 * self.size[1], 2 * self.size[0]), Image.Resampling.BILINEAR)

    def picture(self) -> NDArray[np.uint8]:
        """The picture at its size, with grain, asphalt and paving in perspective, and darker corners."""
        (height, width), seen = self.size, np.asarray(self.objects)
        rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)
        ahead = self.height * self.focal / np.maximum(rows + 0.5 - self.row, 8)
        right = self.aside - self.bend * ahead * ahead + ahead * ((columns - self.column) / self.focal)
        down, across = (60 * ahead + rows * (rows < self.row)).astype(np.int32), (60 * right).astype(np.int32)
        tile = self.noise.integers(-127, 128, (256, 256)).astype(np.float32)
        strength = np.array([GRAIN.get(name, 4) for name in self.labels], np.float32)[seen]
        slabs = np.array([name == "sidewalk" for name in self.labels])[seen]
        change = tile[down & 255, across & 255] * strength * (0.025 / (3 + np.minimum(ahead / 4, 5)))
        ground = slice(int(self.row), height)
        joints = (ahead[ground] % 0.8 < 0.03) | (right[ground] % 0.8 < 0.03)
        change[ground] -= joints * slabs[ground] * (180 / (3 + ahead[ground]))
        change -= 7 * (2 * rows / height - 1) ** 2 + 14 * (2 * columns / width - 1) ** 2
        picture: NDArray[np.int16] = np.asarray(self.image.reduce(2)) + change.astype(np.int16)[..., None]
        return picture.clip(0, 255).astype(np.uint8)
