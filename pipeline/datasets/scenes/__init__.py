"""Street scenes painted from nothing: seeded, labelled at every pixel, no download.

A street is laid out in metres and painted back to front (`street`) with shapes that mark picture and
annotation alike (`canvas`); sky and texture touch the picture alone.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.apolloscape import ApolloScape
from pipeline.datasets.scenes.canvas import Canvas, Light, View, rgb

MOODS = (  # zenith, horizon, sun; haze, clouds, lit windows
    ("2a62b4 b4cfe8 fffaf0", 420, 0.35, 0.0),
    ("3f74b8 c3d3e2 fff4e2", 300, 0.60, 0.02),
    ("46629a f2cfa4 ffe0b4", 200, 0.50, 0.10),
    ("8e9aa8 ccd2d6 d4d8de", 150, 0.95, 0.08),
    ("34406c e0a48c d8b0a0", 160, 0.55, 0.35),
)
GRAIN = {"road": 9, "sidewalk": 6, "vegetation": 8, "building": 4, "wall": 6, "sky": 1}
"""Strength of the texture by class, grey levels; 2 elsewhere."""
PAVED = ("road", "sidewalk")


@dataclass(frozen=True)
class Scene:
    """A picture and its annotation, all of height H and width W."""

    image: NDArray[np.uint8]  # (H, W, 3)
    labels: NDArray[np.uint8]  # (H, W) class ids, as in ApolloScape
    instances: NDArray[np.uint16]  # (H, W) class * 1000 + index, 65535 in groups, 255 elsewhere


def scene(seed: int, index: int, size: tuple[int, int]) -> Scene:
    """Paint frame `index` of the set that `seed` names, `size` (height, width) pixels large."""
    from pipeline.datasets.scenes.street import Street

    rng, noise = Random(f"{seed} {index}"), np.random.default_rng([seed, index])
    (height, width), street = size, Street(rng, noise, index)
    view = View(
        focal=0.68 * width,
        column=width * rng.uniform(0.46, 0.54),
        row=height * rng.uniform(0.54, 0.59),
        x=street.camera + rng.uniform(-0.3, 0.3),
        height=rng.uniform(1.5, 1.7),
        bend=rng.choice([0.0, rng.uniform(-0.0008, 0.0008)]),
    )
    colors, *weather = rng.choices(MOODS, (5, 4, 3, 2, 2))[0]
    light = Light(*rgb(str(colors)), *weather, rng.choice((-1, 1)))  # type: ignore[arg-type]
    canvas = Canvas(size, view, light, _sky(size, view, light, noise))
    street.paint(canvas)
    seen = np.asarray(canvas.objects)
    numbers = {c.name: c.id for c in ApolloScape.table.classes}
    labels = np.array([numbers[name] for name in canvas.labels], np.uint8)[seen]
    return Scene(_textured(canvas, seen, noise), labels, _instances(canvas.labels, numbers)[seen])


def _instances(labels: list[str], numbers: dict[str, int]) -> NDArray[np.uint16]:
    """Each object's value in instance maps."""
    targets = {c.name for c in ApolloScape.table.classes if c.target}
    values, count = np.full(len(labels), 255, np.uint16), Counter[str]()
    for i, name in enumerate(labels):
        if name in targets:
            values[i] = 65535 if name.endswith("group") else numbers[name] * 1000 + count[name]
            count[name] += 1
    return values


def _clouds(shape: tuple[int, int], rng: np.random.Generator, octaves: int, coarse: int) -> NDArray[np.float32]:
    """Smooth noise between 0 and 1: octaves of random grids, each twice as fine."""
    total = np.zeros(shape, np.float32)
    for i in range(octaves):
        grid = Image.fromarray(rng.random((coarse << i, coarse << i), np.float32))
        total += np.asarray(grid.resize((shape[1], shape[0]), Image.Resampling.BICUBIC)) / 2 ** (i + 1)
    return total / (1 - 0.5**octaves)


def _sky(size: tuple[int, int], view: View, light: Light, rng: np.random.Generator) -> Image.Image:
    """The backdrop, at twice the size: a gradient and clouds that flatten towards the horizon."""
    rows, columns = 240, 320
    up = np.clip(1 - np.arange(rows)[:, None] * size[0] / rows / view.row, 0, 1)
    noise = _clouds((rows, columns), rng, 5, 3)
    lie = (np.minimum(1, 0.12 / (up + 0.08)) * 96).astype(int) + np.arange(rows)[:, None]
    noise = noise[lie % rows, np.arange(columns)]
    cover = np.clip((noise - 0.78 + 0.55 * light.clouds) * 4, 0, 1)[..., None] * np.minimum(1, 6 * up)[..., None]
    zenith, horizon = np.array(light.zenith), np.array(light.horizon)
    blue = horizon + (zenith - horizon) * np.minimum(1, 1.25 * up[..., None]) ** 0.7
    white = (0.45 * horizon + 0.55 * np.array(light.sun)) * (1.04 - 0.3 * noise[..., None] * light.clouds)
    picture = Image.fromarray(np.clip(blue + 0.9 * cover * (white - blue), 0, 255).astype(np.uint8))
    return picture.resize((2 * size[1], 2 * size[0]), Image.Resampling.BILINEAR)


def _textured(canvas: Canvas, seen: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture at its size, with grain, asphalt and paving in perspective, and darker corners."""
    height, width = canvas.size
    picture = np.asarray(canvas.image.reduce(2))
    tile = rng.integers(-127, 128, (256, 256), np.int16)
    strength = np.array([GRAIN.get(name, 2) for name in canvas.labels], np.int16)[seen]
    change = np.tile(tile, (height // 256 + 1, width // 256 + 1))[:height, :width] * (strength // 2 + 1) // 128
    _pave(change, canvas, seen, tile)
    down, across = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    change -= (14 * (0.5 * down * down + across * across)).astype(np.int16)
    return np.clip(picture + change[..., None], 0, 255).astype(np.uint8)


def _pave(change: NDArray[np.int16], canvas: Canvas, seen: NDArray[np.int32], tile: NDArray[np.int16]) -> None:
    """Add what lies on the ground, as its distance has it."""
    view, first = canvas.view, int(canvas.view.row) + 8
    ahead = (view.height * view.focal / (np.arange(first, canvas.size[0]) + 0.5 - view.row))[:, None]
    right = view.x + (np.arange(canvas.size[1]) - view.column) * ahead / view.focal - view.bend * ahead * ahead
    rough = tile[(60 * ahead).astype(np.int32) & 255, (60 * right).astype(np.int32) & 255]
    strength = np.array([GRAIN[n] if n in PAVED else 0 for n in canvas.labels], np.float32)[seen[first:]]
    fade = (3 / (3 + 0.25 * ahead)).astype(np.float32)
    change[first:] += (rough * strength * fade / 48).astype(np.int16)
    slabs = np.array([n == "sidewalk" for n in canvas.labels])[seen[first:]]
    joints = ((ahead % 0.8 < 0.03) | (right % 0.8 < 0.03)) & slabs
    change[first:] -= (joints * 40 * fade).astype(np.int16)
