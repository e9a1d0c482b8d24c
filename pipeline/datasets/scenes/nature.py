"""Trees, shrubs and hedges: trunks under clouds of leaf cards."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from pipeline.datasets.scenes.mesh import Floats, Material, Mesh, join, rgb, tube

GREENS = ("#4c6b2c", "#5b7a33", "#3f5f30", "#6d7f35", "#56733c", "#7c8a3a")
AUTUMN = ("#a8742a", "#b5892f", "#8f4f25", "#9c8a35")
BARK = ("#5a4a3a", "#6b5d4e", "#4a3f35", "#7a7066")


VARIANTS = 14
CARDS = (2000, 900, 300, 110)
"""Leaf cards of a tree, by distance."""


def tree(rng: np.random.Generator, z: float, tall: float, autumn: bool = False) -> Mesh:
    """A broad-leaved tree, in as much detail as its distance deserves."""
    cards = CARDS[sum(abs(z) > limit for limit in (13, 28, 65))]
    turned = autumn and rng.random() < 0.6
    return _tree(int(rng.integers(VARIANTS)), cards, turned).placed(
        scale=tall / 8.0, yaw=float(rng.uniform(0, 6.28))
    )


@cache
def _tree(variant: int, cards: int, autumn: bool) -> Mesh:
    """A tree 8 m tall."""
    rng, height = np.random.default_rng([8, variant]), 8.0
    palette = AUTUMN if autumn else GREENS
    leaf, bark = rgb(palette[rng.integers(len(palette))]), rgb(BARK[rng.integers(len(BARK))])
    wide = height * float(rng.uniform(0.24, 0.34))
    fork = height * float(rng.uniform(0.30, 0.40))
    lean = rng.uniform(-0.15, 0.15, 2)
    top = np.array([lean[0], fork, lean[1]])
    parts = [tube([(0, 0, 0), top * [0.4, 0.5, 0.4], top], np.array([0.024, 0.018, 0.015]) * height, bark, 8)]
    lumps = []
    for _ in range(6):
        angle, out = rng.uniform(0, 2 * np.pi), wide * rng.uniform(0.25, 0.62)
        tip = np.array([np.cos(angle) * out, rng.uniform(fork * 1.15, height * 0.82), np.sin(angle) * out])
        parts.append(
            tube(
                [top * 0.92, (top + tip) / 2 + [0, 0.1, 0], tip],
                np.array([0.010, 0.006, 0.002]) * height,
                bark,
                4,
            )
        )
        lumps.append((*tip, wide * rng.uniform(0.42, 0.60)))
    lumps.append((0.0, height * 0.74, 0.0, wide * 0.75))
    lumps.append((*(lean * 2)[:1], height * 0.88, *(lean * 2)[1:], wide * 0.48))
    parts.append(leaves(rng, lumps, cards, 1.29 * height / np.sqrt(cards), leaf))
    return join(parts)


def shrub(rng: np.random.Generator, size: float, detail: float = 1.0) -> Mesh:
    """A round bush of the given width."""
    leaf = rgb(GREENS[rng.integers(len(GREENS))])
    lumps = [(*rng.uniform(-0.25, 0.25, 3) * size + [0, size * 0.4, 0], size * 0.36) for _ in range(3)]
    return leaves(rng, lumps, max(24, int(120 * detail)), size * 0.17 / np.sqrt(detail), leaf)


def hedge(
    rng: np.random.Generator, z0: float, z1: float, x: float, wide: float, tall: float, detail: float
) -> Mesh:
    """A clipped hedge along z, as a row of leaf cards over a solid core."""
    leaf = rgb(GREENS[rng.integers(3)])
    lumps = [(x, tall * 0.5, z, tall * 0.55) for z in np.arange(z0, z1, tall * 0.6)]
    cards = leaves(rng, lumps, max(30, int(60 * detail * len(lumps))), tall * 0.26 / np.sqrt(detail), leaf)
    flat = cards.corners.copy()
    flat[..., 1] = np.clip(flat[..., 1], 0.0, tall)
    flat[..., 0] = np.clip(flat[..., 0], x - wide / 2, x + wide / 2)
    return Mesh(flat, cards.normals, cards.colors, cards.materials)


def leaves(rng: np.random.Generator, lumps: ArrayLike, count: int, size: float, color: Floats) -> Mesh:
    """Small quads strewn over balls (x, y, z, radius), shaded as if they were the balls' surface.

    Each card's normals point from the middle of the crown and of its ball outwards, which gives the crown
    soft round light and shade instead of glitter.
    """
    balls = np.asarray(lumps, float)
    share = balls[:, 3] ** 2
    chosen = balls[rng.choice(len(balls), count, p=share / share.sum())]
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    place = chosen[:, :3] + direction * (chosen[:, 3:] * rng.uniform(0.55, 1.0, (count, 1)))
    whole = place - balls[:, :3].mean(0)
    whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-6)
    normals = direction * 0.6 + whole * 0.7 + [0, 0.25, 0]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    first = rng.normal(size=(count, 3))
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(first, direction)
    second /= np.maximum(np.linalg.norm(second, axis=1, keepdims=True), 1e-6)
    half = size * rng.uniform(0.6, 1.25, (count, 1))
    a, b = first * half, second * half * 0.8
    quad = np.stack([place - a - b * 0.2, place + a * 0.1 - b, place + a - b * 0.1, place - a * 0.2 + b], 1)
    corners = quad[:, [[0, 1, 2], [0, 2, 3]]].reshape(-1, 3, 3)
    deep = np.linalg.norm(place - chosen[:, :3], axis=1) / chosen[:, 3]
    shade = (0.55 + 0.5 * deep) * rng.uniform(0.75, 1.25, count)
    tint = color * shade[:, None] * rng.uniform(0.9, 1.1, (count, 3))
    return Mesh(
        corners.astype(np.float32),
        np.broadcast_to(normals[:, None, None], (count, 2, 3, 3)).reshape(-1, 3, 3).astype(np.float32),
        np.repeat(tint, 2, 0).astype(np.float32),
        np.full(2 * count, Material.LEAVES, np.int32),
    )
