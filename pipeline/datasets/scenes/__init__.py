"""Street scenes painted from nothing: seeded, labelled at every pixel, no download.

A street is laid out in metres, x = 0 in the middle of the camera's lane, and painted from far to near on a
canvas that marks picture and annotation alike. What its things look like stands in `things.yaml`.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.scenes.canvas import CIRCLE, Canvas, Color, Numbers, Place, corners, rgb

Table = list[tuple[Numbers, str]]
LANE, PARKING, REACH, FLOOR, SHADOW = 3.4, 2.4, 230.0, 3.2, (12, 14, 26, 56)


def tables(texts: dict[str, str]) -> dict[str, Table]:
    """Rows of numbers and a word, from their texts."""
    rows = {name: [row.split() for row in text.split(";")] for name, text in texts.items()}
    return {name: [(tuple(map(float, row[:-1])), row[-1]) for row in some] for name, some in rows.items()}


TEXTS = yaml.safe_load(Path(__file__).with_name("things.yaml").read_text(encoding="utf-8"))
PALETTES = {name: rgb(codes) for name, codes in TEXTS["colors"].items()}
PLAIN = dict(zip("drpwsboyngxl", PALETTES["plain"], strict=True))
THINGS, VEHICLES, FACES, LINES = (tables(TEXTS[name]) for name in ("things", "vehicles", "faces", "lines"))
OWN = {"t": "cloth", "l": "cloth", "k": "skin", "h": "hair"}
HEIGHTS = (3, 4, 4, 5, 5, 6, 8, 11)
RARE = ("bus", "truck", "motorbicycle", "tricycle")


class Scene(NamedTuple):
    """A picture and its annotation, all of height H and width W."""

    image: NDArray[np.uint8]  # (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W) class ids, as in ApolloScape
    instances: NDArray[np.uint16]  # (H, W) class * 1000 + index, 65535 in groups, 255 elsewhere


def scene(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Paint frame `index` of the set that `seed` names, `size` (height, width) pixels large."""
    street = Street(seed, index, size)
    street.all(index)
    classes, seen = {c.name: c for c in ApolloScape.table.classes}, np.asarray(street.objects)
    labels = np.array([classes[name].id for name in street.labels], np.uint8)
    instances, count = np.full(len(labels), 255, np.uint16), Counter[str]()
    for i, name in enumerate(street.labels):
        if classes[name].target:
            instances[i] = 65535 if name.endswith("group") else classes[name].id * 1000 + count[name]
            count[name] += 1
    return Scene(street.picture(), labels[seen], instances[seen])


class Street(Canvas):
    """A street and what is on it."""

    def __init__(self, seed: int, index: int, size: tuple[int, int]) -> None:
        super().__init__(seed, index, size)
        own, opposite = self.rng.randint(1, 3), self.rng.choice((0, 1, 2, 2))
        self.lanes = range(-opposite - min(own - 1, 1), own - min(own - 1, 1))
        self.middle, self.walk = (self.lanes[opposite] - 0.5) * LANE, self.rng.uniform(3.4, 6)
        left, right = (self.lanes[0] - 0.5) * LANE - PARKING, (self.lanes[-1] + 0.5) * LANE + PARKING
        self.kerbs, self.things = {-1: left, 1: right}, list[tuple[str, Place]]()

    def pick(self, palette: str) -> Color:
        return self.rng.choice(PALETTES[palette])

    def all(self, index: int) -> None:
        """Paint everything, from far to near."""
        self._ground()
        star = self.rng.choice(self.lanes)
        for lane in self.lanes:
            way = 1 if lane * LANE > self.middle else -1
            self._furnish(lane * LANE, 1, way, LINES["lanes"], 34 * (lane == star))
            if lane == star:
                self.things.append((RARE[index % 4], Place(lane * LANE, (14, 13, 8, 9)[index % 4], 0, way)))
        for side, x in self.kerbs.items():
            self._lots(side)
            self._furnish(x, side, 1 if x > self.middle else -1, LINES["kerbs"])
        for name, place in sorted(self.things, key=lambda thing: -thing[1].z):
            (self._tree if name == "tree" else self._stand if name in THINGS else self._vehicle)(name, place)
        self.thing("rover", 0)
        for i in range(12):
            arc = [(0.5 + 0.1 * j, 0.905 + 0.008 * i + 0.0045 * j * j) for j in range(-6, 7)]
            dots = [(self.size[1] * x, self.size[0] * y) for x, y in (*arc, (1.1, 1.1), (-0.1, 1.1))]
            self.fill(dots, (52, 58, 66), 1.5 - 0.07 * i)

    def _strip(self, x0: float, x1: float, z0: float, z1: float, color: Color) -> None:
        """Paint a band along the street, in pieces that follow its bend and the air."""
        for i in range(count := 12 if z1 - z0 > 9 else 1):
            near, far = (1 / (1 / z0 + (1 / z1 - 1 / z0) * j / count) for j in (i, i + 1))
            self.distance = near
            self.paint([(x, 0, z) for x, z in corners(x0, near, x1, far)], color)

    def _shadow(self, place: Place, long: float, half: float) -> None:
        """Darken the ground softly below a thing, and away from the sun."""
        for grown in (0.3, 0.2, 0.1, 0.0, -0.1):
            shift, spread = place._replace(x=place.x - grown * self.sun), (long + grown, half + grown)
            around = [shift(a, 0, b) for a, b in corners(-spread[0], -spread[1], *spread)]
            self.paint(around, SHADOW, mark=False)

    def _draw(self, place: Place, row: Numbers, color: Color) -> None:
        """Paint a row of a table of shapes."""
        if len(row) == 8:
            self.rod(place(*row[:3]), place(*row[3:6]), row[6:], color)
        elif len(row) == 5:
            self.paint([place(a, b, row[4]) for a, b in corners(*row[:4])], color)
        else:
            self.paint([place(row[0] + row[3] * a, row[1] + row[3] * b, row[2]) for a, b in CIRCLE], color)

    def _stand(self, name: str, place: Place) -> None:
        """Paint one of the things, in colours of its own."""
        self._shadow(place, 0.8 if "bicycle" in name else 0.15, 0.2)
        own = {letter: self.pick(palette) for letter, palette in OWN.items()}
        rows = list(THINGS[name])
        while rows:
            row, word = rows.pop(0)
            if row:
                self._draw(place, row, own.get(word) or PLAIN[word])
            elif word in THINGS and word != name:
                rows = THINGS[word] + rows
            else:
                self.thing(word.replace("_", " "), place.z)

    def _tree(self, name: str, place: Place) -> None:
        tall, chance = self.rng.uniform(5.5, 9.5), self.rng.uniform
        self.thing("vegetation", place.z)
        self.rod(place(0, 0, 0), place(0, 0.7 * tall, 0), (0.02 * tall, 0.01 * tall), PLAIN["b"])
        spots = [place(chance(-0.2, 0.2) * tall, chance(0.45, 0.9) * tall, 0) for _ in range(9)]
        radius = 0.2 * tall * self.focal / place.z
        clumps = np.array([(*self.view(spot), radius) for spot in spots])
        self.leaves(clumps, int(min(480, max(24, 3 * radius))), self.pick("leaf"))

    def _vehicle(self, name: str, place: Place) -> None:
        self.thing(name, place.z)
        likely = [model for model in VEHICLES if model.startswith(name[:3])]
        parts = ("cab", "load") if name == "truck" else (self.rng.choice(likely),)
        for part in parts[:: 1 if place.dz > 0 else -1]:
            self._body(place, VEHICLES[part], self.pick("paint"))

    def _body(self, place: Place, rows: Table, color: Color) -> None:
        """Paint tyres, then a profile drawn out to both sides: its faces, the side that is seen."""
        *profile, (window, _), ((half, wheel, taper, *axles), _) = rows
        corner = [[self._at(place, p, s * half, s * taper) for p, _ in profile] for s in (-1, 1)]
        self._tyres(place, axles, half, wheel)
        faces = []
        for (_, kind), (a, d), (b, c) in zip(profile, *map(pairwise, corner), strict=False):
            shade = 0.9 if abs(a[1] - c[1]) > abs(a[2] - c[2]) else 1.12
            faces.append((-a[2] - c[2], shade, (a, b, c, d), kind))
        for _, shade, quad, kind in sorted(faces):
            if self.facing(quad):
                self.paint(quad, color, shade)
                for box, letter in FACES[kind]:
                    self.patch(quad, box, PLAIN[letter], shade)
        for side, outline in zip((-1, 1), corner, strict=True):
            if self.facing(outline[::-side]):
                self.paint(outline, color, 1.05 if (place.x < 0) == (self.sun > 0) else 0.75)
                glass = [self._at(place, window[i : i + 2], side * half, side * taper) for i in (0, 2, 4, 6)]
                for i in range(int(window[8])):
                    self.patch(glass, (i / window[8], 0, (i + 0.92) / window[8], 1), PLAIN["g"])
                for ahead, share in ((a, s) for a in axles for s in (1.0, 0.6)):
                    self._draw(
                        place, (ahead, wheel, side * half, share * wheel), PLAIN["d" if share == 1 else "s"]
                    )

    def _at(self, place: Place, point: Numbers, right: float, taper: float) -> Numbers:
        """A point of a side that leans inwards above 0.95 m."""
        return place(*point, right - taper * max(0.0, point[1] - 0.95))

    def _tyres(self, place: Place, axles: list[float], half: float, wheel: float) -> None:
        """The shadow of a vehicle, its wheels, and its underside."""
        self._shadow(place, max(axles) + 0.8, half)
        for ahead in sorted(axles, key=lambda a: -a * place.dz):
            for inner, outer in ((0.24 - half, -half), (half - 0.24, half)):
                tread = corners(inner, 0, outer, 1.9 * wheel)
                self.paint([place(ahead, up, right) for right, up in tread], PLAIN["d"])
                for right in (inner, outer):
                    self._draw(place, (ahead, wheel, right, wheel), PLAIN["d"])
        self.paint([place(a, wheel, b) for a, b in corners(min(axles), -half, max(axles), half)], PLAIN["d"])

    def _facade(self, ends: Numbers, floors: int, wall: Color, shade: float) -> None:
        """Paint a wall with windows over shops, from (x, z) to (x, z)."""
        x0, z0, x1, z1 = ends
        top, bays, sill = FLOOR * floors, int(abs(x1 - x0 + z1 - z0) / FLOOR), tuple(c + 25 for c in wall)
        quad = [(x0, 0, z0), (x1, 0, z1), (x1, top, z1), (x0, top, z0)]
        self.paint(quad, wall, shade)
        for i in range(floors * bays):
            (floor, bay), grey = divmod(i, bays), self.rng.randint(-8, 16)
            pane = PLAIN["l"] if self.rng.random() < self.lit else tuple(c + grey for c in PLAIN["g"])
            colors = {"g": pane, "m": tuple(c + 15 for c in pane), "a": self.pick("shop"), "d": PLAIN["d"]}
            for (u0, v0, u1, v1), letter in FACES["floor" if floor else "shop"]:
                box = ((bay + u0) / bays, (floor + v0) / floors, (bay + u1) / bays, (floor + v1) / floors)
                self.patch(quad, box, colors.get(letter, sill), shade)

    def _ground(self) -> None:
        """The carriageway with its marks, the shadow of the houses, pavements."""
        (left, right), sun, white, zebra = self.kerbs.values(), self.sun, PLAIN["w"], self.rng.uniform(22, 60)
        self.thing("road", 0)
        self._strip(-90, 90, 2, REACH, self.pick("road"))
        for x, z in ((lane * LANE - LANE / 2, z) for lane in self.lanes[1:] for z in range(2, 150, 10)):
            self._strip(x - 0.07, x + 0.07, z, z + 4, white)
        for x, color in ((left + PARKING, white), (right - PARKING, white), (self.middle, PLAIN["y"])):
            self._strip(x - 0.07, x + 0.07, 2, REACH, color)
        for i in range(int((right - left) / 0.9)):
            self._strip(left + 0.9 * i + 0.3, left + 0.9 * i + 0.75, zebra, zebra + 3.5, white)
        edge = self.kerbs[sun] - sun * self.rng.uniform(0, 6)
        for soft in (0.0, 0.15, 0.3) if self.clouds < 0.9 else ():
            line = [(edge + soft * sun, 0.0, z) for z in (2.0, 9.0, 30.0, REACH)]
            self.paint([*line, (90.0 * sun, 0, REACH), (90.0 * sun, 0, 2)], SHADOW, mark=False)
        slabs = self.pick("slab")
        self.thing("sidewalk", 0)
        for side, x in self.kerbs.items():
            for a, b, color in ((0, 90, slabs), (0, 0.22, (200, 197, 190)), (-0.1, 0, (120, 118, 114))):
                self._strip(x + side * a, x + side * b, 2, REACH, color)

    def _lots(self, side: int) -> None:
        """Houses, and parks behind a wall, from the far end of the street to the camera."""
        chance, x = self.rng.uniform, self.kerbs[side] + side * self.walk
        ends, lit = [-6.0], 0.74 if side == self.sun else 1.06
        while ends[-1] < 190:
            ends.append(ends[-1] + chance(12, 26))
        for z1, z0 in pairwise(ends[::-1]):
            wall, floors, park = self.pick("wall"), self.rng.choice(HEIGHTS), chance(0, 1) < 0.22
            self.thing("vegetation" if park else "building", z0 + 6)
            if park:
                self._strip(x, x + side * 60, max(z0, 1.0), z1, (98, 122, 60))
                for z in sorted((chance(max(z0, 0) + 4, z1) for _ in range(6)), reverse=True):
                    self._tree("tree", Place(x + side * chance(3, 14), z))
                self.thing("wall", z0)
                self.paint([(x, y, z) for z, y in corners(z0, 0, z1, 1.8)], wall, lit)
            else:
                if z0 > 1:
                    self._facade((x, z0, x + side * 14, z0), floors, wall, 0.88)
                self._facade((x, z0, x, z1), floors, wall, lit)

    def _furnish(self, x: float, side: int, way: int, rows: Table, nearest: float = 0.0) -> None:
        """Put things along a line at x, a kerb or the middle of a lane; people turn either way."""
        chance = self.rng.uniform
        for (often, first, step, last, near, far), names in rows:
            z, there = max(nearest, chance(first, first + step)), chance(0, 1) < often
            while there and z <= last:
                name = self.rng.choice(names.split("/"))
                dx, dz = (side, 0.0) if name in THINGS or name == "tree" else (0.0, way)
                if near != far and name in ("person", "bicycle", "motorbicycle"):
                    dx, dz = (
                        0.28 * self.rng.choice((-1, 1)),
                        0.96 * (self.rng.choice((-1, 1)) if near > 0 else way),
                    )
                self.things.append((name.replace("_", " "), Place(x + side * chance(near, far), z, dx, dz)))
                z += step * (chance(0.6, 1.6) if near != far else 1)
