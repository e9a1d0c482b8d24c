"""Street-like label maps of polygons and ellipses, with ApolloScape's ids, size and intricacy.

    python -m benchmarks.street

times the demo's scenes, which are pictures too.
"""

import io
import statistics
import time

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.scenes import scene

ID = {c.name: c.id for c in ApolloScape.table.classes}
OBJECTS = {
    "car": 0.36,
    "car group": 0.06,
    "truck": 0.04,
    "bus": 0.03,
    "person": 0.17,
    "rider": 0.06,
    "bicycle": 0.06,
    "pole": 0.16,
    "traffic sign": 0.06,
}
"""What stands on the street, and how often."""

COUNT = 90
"""Objects a map, which gives about 30,000 target boundary pixels."""


def street_map(seed: int = 0, size: tuple[int, int] = (2710, 3384)) -> NDArray[np.uint8]:
    """(H, W) raw ids; the same seed gives the same map."""
    rng = np.random.default_rng(seed)
    height, width = size
    picture = Image.new("L", (width, height), ID["sky"])
    draw = ImageDraw.Draw(picture)
    horizon = int(height * rng.uniform(0.52, 0.6))
    _draw_surroundings(draw, rng, width, height, horizon)
    kinds = rng.choice(list(OBJECTS), COUNT, p=list(OBJECTS.values()))
    for depth, kind in zip(np.sort(rng.beta(1.2, 4, COUNT)), kinds, strict=True):
        foot = horizon + depth * (height - horizon)
        unit = width * (0.004 + 0.1 * depth)  # a metre, in pixels
        _draw_object(draw, rng, str(kind), rng.uniform(0, width), foot, unit)
    draw.ellipse([-0.1 * width, 0.93 * height, 1.1 * width, 1.2 * height], fill=ID["rover"])
    return np.array(picture)


def _draw_surroundings(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, width: int, height: int, horizon: int
) -> None:
    """Skyline, trees with ragged edges, pavement and road."""
    left = 0.0
    while left < width:
        right = left + width * rng.uniform(0.02, 0.12)
        draw.rectangle([left, horizon * rng.uniform(0.35, 0.95), right, horizon], fill=ID["building"])
        left = right
    for _ in range(25):
        x, y = rng.uniform(0, width), horizon * rng.uniform(0.6, 0.95)
        spread = width * rng.uniform(0.01, 0.05)
        leaves = rng.normal((x, y), spread, (300, 2))
        for (leaf_x, leaf_y), radius in zip(leaves, rng.uniform(2, 0.2 * spread + 3, 300), strict=True):
            box = [leaf_x - radius, leaf_y - radius, leaf_x + radius, leaf_y + radius]
            draw.ellipse(box, fill=ID["vegetation"])
    draw.rectangle([0, horizon, width, height], fill=ID["sidewalk"])
    vanishing = width * rng.uniform(0.4, 0.6)
    corners = [
        (vanishing - 20, horizon),
        (vanishing + 20, horizon),
        (1.1 * width, height),
        (-0.1 * width, height),
    ]
    draw.polygon(corners, fill=ID["road"])


def _draw_object(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, kind: str, x: float, foot: float, unit: float
) -> None:
    """One object standing at (x, foot); `unit` pixels are a metre."""
    fill = ID[kind]
    if kind in ("pole", "traffic sign"):
        top = foot - 5 * unit
        draw.rectangle([x - 0.06 * unit, top, x + 0.06 * unit, foot], fill=ID["pole"])
        if kind == "traffic sign":
            draw.ellipse([x - 0.4 * unit, top, x + 0.4 * unit, top + 0.8 * unit], fill=fill)
    elif kind in ("person", "rider", "bicycle"):
        _draw_person(draw, rng, x, foot, unit, fill)
    else:
        long, tall = {"truck": (5.0, 3.0), "bus": (6.0, 3.2)}.get(kind, (3.4, 1.5))
        _draw_vehicle(draw, x, foot, unit * long * rng.uniform(0.5, 1), unit * tall, fill)


def _draw_person(
    draw: ImageDraw.ImageDraw, rng: np.random.Generator, x: float, foot: float, unit: float, fill: int
) -> None:
    lean = rng.uniform(-0.2, 0.2) * unit
    draw.ellipse([x - 0.13 * unit, foot - 1.8 * unit, x + 0.13 * unit, foot - 1.5 * unit], fill=fill)
    draw.ellipse([x - 0.28 * unit, foot - 1.55 * unit, x + 0.28 * unit, foot - 0.7 * unit], fill=fill)
    for side in (-1, 1):
        hip, ankle = x + side * 0.12 * unit, x + side * 0.25 * unit + lean
        draw.line([(hip, foot - 0.9 * unit), (ankle, foot)], fill=fill, width=max(1, int(0.16 * unit)))


def _draw_vehicle(
    draw: ImageDraw.ImageDraw, x: float, foot: float, length: float, height: float, fill: int
) -> None:
    cabin = [
        (x + a * length, foot - b * height) for a, b in ((-0.35, 0.5), (-0.22, 1), (0.2, 1), (0.36, 0.5))
    ]
    draw.polygon(cabin, fill=fill)
    body = [x - 0.5 * length, foot - 0.62 * height, x + 0.5 * length, foot - 0.15 * height]
    draw.rounded_rectangle(body, radius=0.15 * height, fill=fill)
    for wheel in (-0.3, 0.3):
        centre, radius = x + wheel * length, 0.2 * height
        draw.ellipse([centre - radius, foot - 2 * radius, centre + radius, foot], fill=fill)


@click.command()
@click.option(
    "--scenes", default=5, show_default=True, help="Scenes of the demo data set to paint, at each size."
)
def main(scenes: int) -> None:
    """Time the painter of the demo's scenes against Pillow writing and reading the same picture as PNG."""
    for size in ((1355, 1692), (2710, 3384)):
        ratios, times = [], []
        for index in range(scenes):
            begun = time.process_time()
            drawn = scene(0, index, size)
            painted = time.process_time()
            file = io.BytesIO()
            Image.fromarray(drawn.image).save(file, "PNG")
            Image.open(file).load()
            times.append(painted - begun)
            ratios.append(times[-1] / (time.process_time() - painted))
        print(
            f"{size[1]} x {size[0]}: {statistics.median(times):.2f} s of processor time a scene, "
            f"{statistics.median(ratios):.2f} x PNG"
        )


if __name__ == "__main__":
    main()
