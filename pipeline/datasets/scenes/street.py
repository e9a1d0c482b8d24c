"""What stands on a street, and how it is painted: x = 0 is the line between the directions, z = 0 the camera."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from random import Random
from typing import Any, NamedTuple

import numpy as np

from pipeline.datasets.scenes.canvas import CIRCLE, Canvas, Color, Place, Quad, rgb

LANE, REACH, CURB, SIDE_STREET = 3.4, 230.0, 0.14, 13.0
"""Metres."""
PLAIN = dict(zip("dgrpwsboykhx", rgb("1c1e21 33475a c81e1e 2450a8 f4f0dc 7c8288 5a4632 e8601c e8b820"), strict=False))
PAINTS = rgb("e8e8e6 b9bec4 2a2d33 8c1d24 1f4a86 c9a227 5b6670 f4f4f2 3c6e50 b5502a d9d2c0 7a1f3d")
CLOTHES = rgb("b23a3a 2f5d8c e0c060 3c7a5a 8a4a8c dddad2 33363d 5d7fa8 c87f3a 24465a d06a86 4a4f3c")
SKIN, HAIR = rgb("e0b090 c68a62 8a5a3c f0c8a8"), rgb("2a1c14 4a3020 15120f 8a6a3a")
WALLS = rgb("a8543c 8f4a38 d8c8a4 c4b8a8 b0a090 e2dccf 9aa0a6 c89a6c 7f6a5c d0b48c")
LEAVES, SHOPS = rgb("5a8a34 4a7a3a 6c9640 7c9a3c b08a34"), rgb("b02a2a 1f5c8a 2a7a4a d08a1e 6a2f6a e4e0d4")


class Row(NamedTuple):
    """Numbers, and a letter that says what they are of: a colour, or a kind of face."""

    numbers: tuple[float, ...]
    kind: str


def table(text: str) -> list[Row]:
    """Rows of numbers that end in a letter, with semicolons between them."""
    words = [row.split() for row in text.split(";")]
    return [Row(tuple(map(float, row[:-1])), row[-1]) for row in words]


FACES = {  # rectangles on the faces of vehicles
    "d": table("0 0 1 1 d"),
    "g": table(".07 .06 .93 .9 g"),
    "r": table(".02 .35 .25 .9 r; .75 .35 .98 .9 r; .37 .1 .63 .5 p"),
    "f": table(".03 .3 .26 .9 w; .74 .3 .97 .9 w; .3 .2 .7 .75 d"),
    "R": table(".1 .5 .9 .9 g; .02 .1 .14 .3 r; .86 .1 .98 .3 r; .4 .1 .6 .2 p; .1 .34 .9 .38 d"),
    "F": table(".06 .4 .94 .88 g; .04 .1 .2 .22 w; .8 .1 .96 .22 w; .3 .9 .7 .97 y; .3 .1 .7 .2 d"),
    "c": table(".49 .02 .51 .98 d; .04 .1 .06 .9 s; .94 .1 .96 .9 s; .02 .01 .98 .04 d"),
}


class Vehicle(NamedTuple):
    """A profile of (ahead, up, kind of the face that follows), drawn out to both sides."""

    profile: list[Row]
    glass: list[Row]  # corners of the side windows: lower back, lower front, upper front, upper back
    panes: int
    half: float  # width
    axles: tuple[float, ...]
    wheel: float
    taper: float = 0.0  # how much narrower it gets with every metre above 0.95


def car(profile: str, glass: str, panes: int = 2) -> Vehicle:
    return Vehicle(table(profile), table(glass), panes, 0.88, (-1.35, 1.35), 0.33, 0.32)


CARS = (
    car("-2.2 .3 d; -2.25 .52 r; -2.2 .95 b; -1.7 1 g; -1.1 1.42 b; .3 1.46 g; 1.1 1 b; 2.1 .8 f; 2.25 .52 d; 2.2 .3 d",
        "-1.45 1.03 g; .85 1.03 g; .2 1.36 g; -1 1.34 g"),
    car("-1.9 .3 d; -1.95 .52 r; -1.9 .95 g; -1.5 1.44 b; .3 1.5 g; 1.1 1 b; 1.95 .8 f; 2.05 .52 d; 2 .3 d",
        "-1.6 1.03 g; .85 1.03 g; .2 1.38 g; -1.35 1.35 g"),
    car("-2.2 .35 d; -2.25 .6 r; -2.2 1.05 g; -1.95 1.65 b; .3 1.7 g; 1.1 1.08 b; 2.1 .95 f; 2.2 .6 d; 2.15 .35 d",
        "-1.95 1.1 g; .85 1.1 g; .25 1.58 g; -1.8 1.55 g", 3),
    car("-2.3 .35 d; -2.35 .6 r; -2.3 1.1 g; -2.15 1.85 b; .9 1.88 g; 1.7 1.1 b; 2.2 .95 f; 2.3 .6 d; 2.25 .35 d",
        "-2 1.2 g; 1.4 1.2 g; .9 1.75 g; -2 1.72 g", 3),
)
BUS = Vehicle(table("-5.5 .35 R; -5.45 3.1 b; 5.4 3.1 F; 5.5 .35 d"), table("-5.2 1.4 g; 4.9 1.4 g; 4.9 2.6 g; -5.2 2.6 g"), 7, 1.22, (-3.2, 3.4), 0.48)
LOAD = Vehicle(table("-3.4 .85 c; -3.4 3.3 b; 1.2 3.3 b; 1.2 .85 d"), [], 0, 1.15, (-2.4, -1.3, 2.2), 0.48)
CAB = Vehicle(table("1.4 .55 b; 1.45 2.6 b; 2.7 2.55 F; 3.1 .55 d"), table("1.9 1.5 g; 2.8 1.5 g; 2.6 2.3 g; 1.9 2.3 g"), 1, 1.1, (2.2,), 0.48)
TRICYCLE = Vehicle(table("-1.2 .4 R; -1.2 1.7 b; .5 1.75 g; .95 .95 b; 1.3 .85 f; 1.35 .4 d"), table("-.9 1 g; .6 1 g; .35 1.5 g; -.9 1.5 g"), 2, 0.62, (-0.8, 0.9), 0.24)
# Rods: ahead, up and right of either end, and the radii there. t is the jacket, l the trousers.
WALKING = table("""-.02 .9 .09 .16 .5 .1 .1 .08 l; .16 .5 .1 .24 .08 .1 .08 .05 l; .24 .06 .1 .36 .04 .1 .05 .04 d;
    0 .9 -.09 -.04 .5 -.1 .1 .08 l; -.04 .5 -.1 -.28 .1 -.1 .08 .05 l; -.28 .06 -.1 -.16 .03 -.1 .05 .04 d;
    .02 1.38 -.19 .1 1.12 -.25 .07 .06 t; .1 1.12 -.25 .28 .92 -.24 .05 .04 k; 0 .92 0 .02 1.28 0 .15 .18 t;
    .02 1.36 -.15 .02 1.36 .15 .08 .08 t; .02 1.38 .19 -.08 1.12 .25 .07 .06 t; -.08 1.12 .25 -.2 .9 .26 .05 .04 k;
    .02 1.4 0 .03 1.52 0 .05 .05 k; .04 1.6 0 .04 1.64 0 .1 .1 k; .01 1.66 0 .03 1.69 0 .105 .1 h""")
RIDING = table("""-.25 .95 .1 .15 .75 .12 .1 .08 l; .15 .75 .12 -.02 .35 .12 .08 .05 l; -.02 .3 .12 .12 .28 .12 .05 .04 d;
    -.25 .95 -.1 .2 .85 -.12 .1 .08 l; .2 .85 -.12 .06 .45 -.12 .08 .05 l; .06 .4 -.12 .2 .38 -.12 .05 .04 d;
    -.28 .95 0 .02 1.35 0 .15 .18 t; .02 1.4 -.15 .02 1.4 .15 .08 .08 t; .05 1.4 .19 .25 1.2 .26 .07 .05 t;
    .25 1.2 .26 .45 1.06 .24 .05 .04 k; .05 1.4 -.19 .25 1.2 -.26 .07 .05 t; .25 1.2 -.26 .45 1.06 -.24 .05 .04 k;
    .08 1.46 0 .1 1.56 0 .05 .05 k; .13 1.64 0 .13 1.68 0 .1 .1 k; .1 1.71 0 .12 1.74 0 .11 .1 h""")
BICYCLE = table("""-.54 .34 0 -.1 .34 0 .02 .02 t; -.1 .34 0 -.25 .85 0 .022 .022 t; -.1 .34 0 .4 .82 0 .025 .025 t;
    -.22 .75 0 .4 .85 0 .022 .022 t; -.54 .34 0 -.22 .75 0 .018 .018 t; .54 .34 0 .38 .98 0 .022 .022 t;
    .4 1.02 -.27 .4 1.02 .27 .022 .022 d; -.38 .9 0 -.12 .9 0 .06 .03 d""")
MOTORBIKE = table("""-.3 .45 0 .25 .45 0 .16 .18 d; -.75 .68 0 -.3 .72 0 .1 .14 t; -.6 .8 0 -.05 .78 0 .08 .1 d;
    0 .8 0 .35 .86 0 .14 .15 t; .62 .32 0 .42 .95 0 .05 .05 s; .4 1.02 -.33 .4 1.02 .33 .03 .03 d; .5 .88 0 .56 .88 0 .11 .1 w;
    -.8 .72 0 -.83 .72 0 .06 .06 r; -.78 .5 0 -.8 .45 0 .07 .07 p; .42 1.05 .3 .42 1.18 .36 .02 .05 d; .42 1.05 -.3 .42 1.18 -.36 .02 .05 d""")
FURNITURE = {
    "lamp": ("pole", table("0 0 0 0 .9 0 .13 .11 s; 0 .9 0 0 7.4 0 .08 .06 s; 0 7.4 0 0 7.9 -.6 .06 .05 s; 0 7.9 -.6 0 8 -2 .05 .05 s; 0 7.95 -1.7 0 7.95 -2.5 .1 .06 d")),
    "post": ("pole", table("0 0 0 0 3.1 0 .05 .05 s")),
    "gantry": ("pole", table("0 0 0 0 6 0 .12 .09 s; 0 5.9 0 0 6.1 -5 .08 .06 s")),
    "cone": ("traffic cone", table("0 .03 -.2 0 .03 .2 .03 .03 o; 0 .05 0 0 .7 0 .19 .03 o; 0 .3 0 0 .42 0 .14 .1 w")),
    "bollard": ("road pile", table("0 0 0 0 .85 0 .07 .07 d; 0 .5 0 0 .7 0 .075 .075 y")),
    "bin": ("dustbin", table("0 .15 0 0 .85 0 .27 .29 p; 0 .9 0 0 .95 0 .3 .26 d")),
}  # fmt: skip


def strip(canvas: Canvas, x0: float, x1: float, z0: float, z1: float, color: Color, low: float = 0.0, high: float = 0.0) -> None:
    """Paint a band along the street, `low` and `high` being the heights of its two edges."""
    depths = [1 / (1 / z0 + (1 / z1 - 1 / z0) * i / 12) for i in range(13)] if z1 - z0 > 9 else [z0, z1]
    for near, far in pairwise(depths):
        canvas.away(near)
        canvas.paint([(x0, low, near), (x1, high, near), (x1, high, far), (x0, low, far)], color)


def body(canvas: Canvas, place: Place, vehicle: Vehicle, color: Color) -> None:
    """Paint a vehicle: underside and tyres, the faces of its profile from far to near, the side that is seen."""
    profile, sunny = vehicle.profile, canvas.light.side

    def corner(row: Row, side: int) -> tuple[float, float, float]:
        return place(*row.numbers, side * (vehicle.half - vehicle.taper * max(0.0, row.numbers[1] - 0.95)))

    for ahead in sorted(vehicle.axles, key=lambda a: -a * place.dz):
        for right in (-vehicle.half, 0.25 - vehicle.half, vehicle.half - 0.25, vehicle.half):
            canvas.rim(place, ahead, vehicle.wheel, right, PLAIN["d"])
    back, front = vehicle.axles[0], vehicle.axles[-1]
    canvas.paint([place(a, 0.25, c * vehicle.half) for a, c in ((back, -1), (back, 1), (front, 1), (front, -1))], PLAIN["d"])
    faces = []
    for first, last in pairwise(profile):
        quad = [corner(first, -1), corner(first, 1), corner(last, 1), corner(last, -1)]
        flat = abs(first.numbers[0] - last.numbers[0]) > abs(first.numbers[1] - last.numbers[1])
        faces.append((-quad[0][2] - quad[2][2], quad, 1.12 if flat else 0.9, first.kind))
    for _, quad, shade, kind in sorted(faces):
        if canvas.facing(quad):
            canvas.paint(quad, color, shade)
            for rectangle, letter in FACES.get(kind, ()):
                canvas.patch(quad, rectangle, PLAIN[letter], shade)
    for side in (-1, 1):
        outline = [corner(row, side) for row in profile][::-side]
        if canvas.facing(outline):
            shade = 1.05 if (outline[0][0] < canvas.view.x) == (sunny > 0) else 0.75
            canvas.paint(outline, color, shade)
            glass = [corner(row, side) for row in vehicle.glass]
            for i in range(vehicle.panes):
                canvas.patch(glass, (i / vehicle.panes, 0, (i + 0.92) / vehicle.panes, 1), PLAIN["g"])
            for ahead in vehicle.axles:
                canvas.rim(place, ahead, vehicle.wheel, side * vehicle.half, PLAIN["d"])
                canvas.rim(place, ahead, vehicle.wheel, side * vehicle.half, PLAIN["s"], 0.6)


def rods(canvas: Canvas, place: Place, rows: Sequence[Row], colors: dict[str, Color] = PLAIN, scale: float = 1.0) -> None:
    """Paint rods one after another."""
    for (a, b, c, d, e, f, first, last), kind in rows:
        points = [place(scale * x, scale * y, scale * z) for x, y, z in ((a, b, c), (d, e, f))]
        canvas.limb(points[0], points[1], (first, last), colors[kind])


def shadow(canvas: Canvas, place: Place, long: float, half: float) -> None:
    """Darken the ground softly below a thing, and away from the sun."""
    for grown in (0.3, 0.2, 0.1, 0.0, -0.1):
        corners = [place(s * (long + grown), 0.01, t * (half + grown)) for s, t in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
        canvas.glaze([(x - grown * canvas.light.side, y, z) for x, y, z in corners], (12, 14, 26, 56))


def facade(canvas: Canvas, quad: Quad, rng: Random, floors: int, bays: int, wall: Color, shade: float) -> None:
    """Paint a wall of windows over a row of shops."""
    canvas.paint(quad, wall, shade)
    tall, glow = 1 / (floors + 0.4), (255, 214, 140)
    sill, wide = tuple(min(255, c + 40) for c in wall), rng.choice((0.2, 0.28, 0.06))
    for floor in range(1, floors):
        canvas.patch(quad, (0, (floor + 0.18) * tall, 1, (floor + 0.22) * tall), sill, shade)
        for bay in range(bays):
            u0, u1, v = (bay + wide) / bays, (bay + 1 - wide) / bays, (floor + 0.3) * tall
            canvas.patch(quad, (u0 - 0.06 / bays, v - 0.06 * tall, u1 + 0.06 / bays, v + 0.58 * tall), sill, shade)
            pane = glow if rng.random() < canvas.light.lit else tuple(c + rng.randint(0, 30) for c in PLAIN["g"])
            canvas.patch(quad, (u0, v, u1, v + 0.52 * tall), pane, shade)
            canvas.patch(quad, (u0, v, (u0 + u1) / 2, v + 0.2 * tall), pane, shade * 1.25)
    for bay in range(bays):
        sign = rng.choice(SHOPS)
        canvas.patch(quad, ((bay + 0.04) / bays, 0.06 * tall, (bay + 0.96) / bays, 0.66 * tall), PLAIN["g"], shade)
        canvas.patch(quad, ((bay + 0.6) / bays, 0.0, (bay + 0.85) / bays, 0.62 * tall), PLAIN["d"], shade * 1.6)
        canvas.patch(quad, ((bay + 0.02) / bays, 0.7 * tall, (bay + 0.98) / bays, 0.95 * tall), sign, shade)
    canvas.patch(quad, (0, 0.985, 1, 1), sill, shade)


def vehicle(canvas: Canvas, rng: Random, name: str, place: Place) -> None:
    """A car, bus, lorry or tricycle."""
    model = {"bus": BUS, "truck": LOAD, "tricycle": TRICYCLE}.get(name) or rng.choice(CARS)
    shadow(canvas, place, -model.profile[0].numbers[0], model.half)
    canvas.thing(name, place.z)
    parts = [(model, rng.choice(PAINTS))]
    if name == "truck":
        parts = [(CAB, rng.choice(PAINTS)), *parts][:: 1 if place.dz > 0 else -1]
    for part, color in parts:
        body(canvas, place, part, color)


def dressed(rng: Random) -> dict[str, Color]:
    return PLAIN | {"t": rng.choice(CLOTHES), "l": rng.choice(CLOTHES[4:]), "k": rng.choice(SKIN), "h": rng.choice(HAIR)}


def person(canvas: Canvas, rng: Random, place: Place, name: str | None = "person") -> None:
    """Somebody on foot; without a name, one more of a group."""
    shadow(canvas, place, 0.2, 0.25)
    if name:
        canvas.thing(name, place.z)
    rods(canvas, place, WALKING, dressed(rng), rng.uniform(0.9, 1.06))


def ridden(canvas: Canvas, rng: Random, name: str, place: Place) -> None:
    """A bicycle or motorcycle, and who rides it."""
    shadow(canvas, place, 0.8, 0.2)
    canvas.thing(name, place.z)
    radius, thick, rows = (0.34, 0.025, BICYCLE) if name == "bicycle" else (0.3, 0.07, MOTORBIKE)
    for middle in (-0.54, 0.6):
        for (a, b), (c, d) in pairwise((*CIRCLE, CIRCLE[0])):
            ends = [place(middle + radius * x, radius * (1 + y), 0) for x, y in ((a, b), (c, d))]
            canvas.limb(ends[0], ends[1], (thick, thick), PLAIN["d"])
    rods(canvas, place, rows, dressed(rng))
    canvas.thing("rider", place.z)
    rods(canvas, place, RIDING, dressed(rng))


def tree(canvas: Canvas, rng: Random, noise: np.random.Generator, place: Place, tall: float) -> None:
    canvas.thing("vegetation", place.z)
    low, wide = 0.32 * tall, 0.16 * tall
    canvas.limb(place(0, 0, 0), place(0, 0.7 * tall, 0), (0.022 * tall, 0.01 * tall), PLAIN["b"])
    spots = [(rng.uniform(-1, 1) * wide, low + rng.uniform(0.2, 1) * (tall - low)) for _ in range(9)]
    clumps = [(*canvas.view(place(0, up, aside)), wide * canvas.view.focal / place.z) for aside, up in spots]
    canvas.leaves(noise, np.array(clumps), int(min(500, max(60, 7000 / place.z))), rng.choice(LEAVES))


def furniture(canvas: Canvas, name: str, place: Place) -> None:
    label, rows = FURNITURE[name]
    canvas.thing(label, place.z)
    rods(canvas, place, rows)


def sign(canvas: Canvas, rng: Random, place: Place) -> None:
    furniture(canvas, "post", place)
    canvas.thing("traffic sign", place.z)
    rim, inner = rng.choice((("r", "w"), ("w", "p"), ("r", "r"), ("w", "r"), ("d", "y")))
    canvas.disc(place(0, 2.75, 0), 0.38, PLAIN[rim])
    canvas.disc(place(0, 2.75, 0), 0.29, PLAIN[inner])
    canvas.board(place(0, 2.75, 0), 0.17, 0.06, PLAIN["w" if inner in "pr" else "d"])


def signal(canvas: Canvas, name: str, place: Place, up: float, reach: float, lit: int) -> None:
    """A traffic light on its post or arm."""
    furniture(canvas, name, place)
    canvas.thing("traffic light", place.z)
    canvas.board(place(0, up, reach), 0.2, 0.55, PLAIN["d"])
    for i, letter in enumerate("rys"):
        on = i == lit
        canvas.disc(place(0, up + 0.34 * (1 - i), reach), 0.14, PLAIN[letter], 1.3 if on else 0.3)


def billboard(canvas: Canvas, rng: Random, place: Place) -> None:
    furniture(canvas, "post", place)
    canvas.thing("billboard", place.z)
    ground, ink = rng.sample(SHOPS, 2)
    quad = canvas.board(place(0, 3.6, 0), 1.6, 0.9, ground)
    for box in ((0.06, 0.1, 0.45, 0.9), (0.52, 0.6, 0.92, 0.8), (0.52, 0.35, 0.8, 0.45), (0.52, 0.15, 0.86, 0.25)):
        canvas.patch(quad, box, ink)


def fence(canvas: Canvas, x: float, z0: float, z1: float, high: float, color: Color) -> None:
    canvas.thing("fence", z0)
    for up in (0.15, high):
        canvas.limb((x, up, z1), (x, up, z0), (0.035, 0.035), color)
    for i in range(int((z1 - z0) / 0.4), -1, -1):
        z = z0 + 0.4 * i
        canvas.limb((x, 0, z), (x, high + 0.05, z), (0.02, 0.02) if i % 5 else (0.05, 0.05), color)


class Street:
    """A street and what is on it."""

    def __init__(self, rng: Random, noise: np.random.Generator, index: int) -> None:
        self.rng, self.noise, self.index = rng, noise, index
        self.own, self.opposite = rng.randint(1, 3), rng.choice((0, 1, 2, 2))
        self.parking = {side: rng.choice((0.4, 0.4, 2.4)) for side in (-1, 1)}
        self.kerbs = {-1: -self.opposite * LANE - self.parking[-1], 1: self.own * LANE + self.parking[1]}
        self.walk = rng.uniform(3.4, 6.0)
        self.crossing = rng.choice((rng.uniform(24, 55), 1e6))
        self.camera = (min(self.own - 1, 1) + 0.5) * LANE
        self.things: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def add(self, z: float, painter: Callable[..., None], *given: Any) -> None:
        self.things.append((-z, painter, given))

    def paint(self, canvas: Canvas) -> None:
        """Paint everything, from far to near."""
        canvas.thing("sky", 0)
        self.ground(canvas)
        for side in (-1, 1):
            self.lots(canvas, side)
            self.furnish(side)
            self.walkers(side)
        self.traffic()
        for _, painter, given in sorted(self.things, key=lambda thing: thing[0]):
            painter(canvas, *given)
        self.hood(canvas)

    def ground(self, canvas: Canvas) -> None:
        """The carriageway with its marks, a side street, pavements, and what the light does to them."""
        rng, left, right = self.rng, self.kerbs[-1], self.kerbs[1]
        asphalt, slabs = rng.choice(rgb("5c5c5f 66645f 525357")), rng.choice(rgb("a39d92 968f88 a8a7a3 9c8d80"))
        canvas.thing("road", 0)
        strip(canvas, -90, 90, 2.0, REACH, asphalt)
        stop = self.crossing - 6
        for lane in range(-self.opposite + 1, self.own):
            for z in range(2, 150, 10):
                if lane and not stop - 4 < z < self.crossing + SIDE_STREET + 3:
                    strip(canvas, lane * LANE - 0.07, lane * LANE + 0.07, z, z + 4, PLAIN["w"])
        lines = [(-0.2, "y"), (0.1, "y")] if self.opposite else []
        for x, letter in [*lines, (left + self.parking[-1] - 0.1, "w"), (right - self.parking[1], "w")]:
            strip(canvas, x, x + 0.12, 2, min(stop, REACH), PLAIN[letter])
            strip(canvas, x, x + 0.12, min(self.crossing + 18, REACH - 1), REACH, PLAIN[letter])
        for i in range(int((right - left) / 0.9)):
            strip(canvas, left + 0.9 * i + 0.2, left + 0.9 * i + 0.65, stop + 2, stop + 5.2, PLAIN["w"])
        if canvas.light.clouds < 0.9:
            side = canvas.light.side
            edge = self.kerbs[side] - side * rng.uniform(0, 6)
            for soft in (0.0, 0.15, 0.3):
                corners = [(edge + soft * side, 0, z) for z in (2.0, 9, 30, REACH)]
                canvas.glaze([*corners, (90.0 * side, 0, REACH), (90.0 * side, 0, 2)], (16, 22, 44, 40))
        canvas.thing("sidewalk", 0)
        for side in (-1, 1):
            x = self.kerbs[side]
            for z0, z1 in ((2.0, min(self.crossing, REACH)), (self.crossing + SIDE_STREET, REACH)):
                if z0 < z1:
                    strip(canvas, x, side * 90, z0, z1, slabs, CURB, CURB)
                    strip(canvas, x, x, z0, z1, (128, 126, 122), 0, CURB)
                    strip(canvas, x, x + side * 0.18, z0, z1, (196, 193, 186), CURB, CURB)

    def blocked(self, z: float, margin: float = 2.0) -> bool:
        """Whether a place on the pavement lies in the side street."""
        return self.crossing - margin < z < self.crossing + SIDE_STREET + margin

    def lots(self, canvas: Canvas, side: int) -> None:
        """Houses, and parks behind a wall or fence, from the far end of the street to the camera."""
        rng, front, ends = self.rng, side * (abs(self.kerbs[side]) + self.walk), [-6.0]
        while ends[-1] < 190:
            ends.append(ends[-1] + rng.uniform(12, 26))
        for z0, z1 in reversed(list(pairwise(ends))):
            if z0 < self.crossing + SIDE_STREET + 3 and z1 > self.crossing - 3:
                continue
            if rng.random() < 0.18:
                self.park(canvas, side, front, max(z0, 1.0), z1)
                continue
            canvas.thing("building", z0 + 6)
            high, wall = rng.choice((3, 4, 4, 5, 5, 6, 8, 11)), rng.choice(WALLS)
            far = front + side * 14
            street = [(front, 0, z0), (front, 0, z1), (front, 3.2 * high, z1), (front, 3.2 * high, z0)]
            near = [(front, 0, z0), (far, 0, z0), (far, 3.2 * high, z0), (front, 3.2 * high, z0)]
            if z0 > 1:
                facade(canvas, near, rng, high, 4, wall, 0.88)
            facade(canvas, street, rng, high, int((z1 - z0) / 3.2), wall, 0.74 if side == canvas.light.side else 1.06)

    def park(self, canvas: Canvas, side: int, front: float, z0: float, z1: float) -> None:
        rng = self.rng
        canvas.thing("vegetation", z0)
        strip(canvas, front, front + side * 60, z0, z1, (98, 122, 60), CURB, CURB)
        for z in sorted((rng.uniform(z0 + 3, z1) for _ in range(6)), reverse=True):
            tree(canvas, rng, self.noise, Place(front + side * rng.uniform(3, 14), z), rng.uniform(6, 11))
        if rng.random() < 0.5:
            return fence(canvas, front, z0, z1, 1.3, PLAIN["d"])
        canvas.thing("wall", z0)
        canvas.paint([(front, 0, z0), (front, 0, z1), (front, 1.8, z1), (front, 1.8, z0)], rng.choice(WALLS), 0.9)

    def furnish(self, side: int) -> None:
        """Trees, lamps, signs and smaller things along a pavement."""
        rng, kerb = self.rng, self.kerbs[side]

        def along(first: float, step: float, last: float) -> list[float]:
            return [z for z in np.arange(rng.uniform(first, first + step), last, step).tolist() if not self.blocked(z)]

        def at(out: float, z: float) -> Place:
            return Place(kerb + side * out, z, 0, side, CURB)

        for z in along(8, rng.uniform(8, 14), 150):
            self.add(z, tree, rng, self.noise, at(0.9, z), rng.uniform(5.5, 8.5))
        for z in along(9, 27, 160):
            self.add(z, furniture, "lamp", at(0.5, z))
        for z in along(8, 23, 60):
            self.add(z, sign, rng, at(0.5, z)._replace(dz=1.0))
        for z in along(10, 40, 60):
            self.add(z, furniture, "bin", at(self.walk - 0.7, z))
        if rng.random() < 0.4:
            z = rng.uniform(14, 40)
            self.add(z, billboard, rng, at(self.walk - 1.8, z)._replace(dz=1.0))
        small = rng.random()
        if small < 0.35:
            for z in along(6, 1.6, rng.uniform(14, 30)):
                self.add(z, furniture, "bollard", at(0.35, z))
        elif small < 0.65:
            z = rng.uniform(6, 18)
            self.add(z, fence, kerb + side * 0.3, z, min(z + 14, max(z + 1, self.crossing - 3)), 1.0, PLAIN["s"])
        for i in range(rng.choice((0, 0, 4, 6))):
            self.add(13 + 1.8 * i, furniture, "cone", Place(kerb - side * (0.4 + 0.25 * i), 13 + 1.8 * i))
        if self.crossing < REACH:
            z, far, lit = self.crossing - 2.2, self.crossing + SIDE_STREET + 2, rng.choice((0, 2))
            self.add(z, signal, "post", at(0.6, z)._replace(dz=1.0), 2.9, 0.0, lit)
            self.add(far, signal, "gantry", at(0.6, far), 5.6, -4.6, lit)

    def walkers(self, side: int) -> None:
        rng, kerb = self.rng, self.kerbs[side]
        for _ in range(rng.randint(3, 9)):
            z, way = 6 + 44 * rng.random() * rng.random(), rng.choice((-1.0, 1.0))
            if not self.blocked(z):
                turn, out = 0.28 * rng.choice((-1, 1)), rng.uniform(1.4, self.walk - 0.4)
                self.add(z, person, rng, Place(kerb + side * out, z, turn, 0.96 * way, CURB))
        if rng.random() < 0.4 and not self.blocked(z := rng.uniform(38, 60)):
            for i in range(5):
                spot = Place(kerb + side * (1 + 0.6 * i), z - 0.01 * i, 0.6, 0.8 * (-1) ** i, CURB)
                self.add(spot.z, person, rng, spot, None if i else "person group")
        if self.crossing < REACH:
            for _ in range(rng.randint(0, 3)):
                z = self.crossing - rng.uniform(1.2, 3.6)
                self.add(z, person, rng, Place(rng.uniform(self.kerbs[-1], self.kerbs[1]), z, float(side), 0.0))

    def traffic(self) -> None:
        """Vehicles in lanes and at the kerb, people on two wheels."""
        rng, special = self.rng, ("bus", "truck", "motorbicycle", "tricycle")[self.index % 4]
        star = rng.randint(-self.opposite, self.own - 1)
        for lane in range(-self.opposite, self.own):
            x, way = (lane + 0.5) * LANE, -1.0 if lane < 0 else 1.0
            z = rng.uniform(9, 17) if abs(x - self.camera) < 1 else rng.uniform(5, 14)
            name = special if lane == star else "car"
            while z < 100:
                half = {"bus": 5.5, "truck": 3.5}.get(name, 2.2)
                self.ride(name, Place(x + rng.uniform(-0.3, 0.3), z + half, 0.0, way))
                z += 2 * half + rng.uniform(4, 26)
                name = rng.choices(("car", "bus", "truck", "motorbicycle", "tricycle"), (42, 2, 3, 2, 1))[0]
            for far in (112, 130):
                if rng.random() < 0.4:
                    self.add(far, vehicle, rng, "car group", Place(x, far, 0.0, way))
        for side in (-1, 1):
            way = -1.0 if side < 0 and self.opposite else 1.0
            for z in range(8, 90, 7):
                if self.parking[side] > 2 and rng.random() < 0.7 and not self.blocked(z, 4):
                    self.ride("car", Place(self.kerbs[side] - side * 1.2, z, 0, way))
            for name in ("bicycle", rng.choice(("bicycle", "motorbicycle"))):
                x = self.kerbs[side] - side * (self.parking[side] + 0.5)
                self.ride(name, Place(x, rng.uniform(7, 28), rng.uniform(-0.3, 0.3), 0.95 * way))

    def ride(self, name: str, place: Place) -> None:
        self.add(place.z, ridden if "bicycle" in name else vehicle, self.rng, name, place)

    def hood(self, canvas: Canvas) -> None:
        """The bonnet of the car that carries the camera."""
        canvas.thing("rover", 0)
        height, width = canvas.size
        for i in range(12):
            top = height * (0.905 + 0.008 * i)
            arc = [(width * (0.5 + 0.1 * j), top + height * 0.0045 * j * j) for j in range(-6, 7)]
            canvas.fill([*arc, (1.1 * width, height), (-0.1 * width, height)], (52, 58, 66), 1.5 - 0.07 * i)
