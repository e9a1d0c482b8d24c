"""Repeatable noise for surfaces and clouds, compiled: the same numbers on every machine."""

from __future__ import annotations

from math import floor

import numba
import numpy as np

PERIOD = 256
"""The noise repeats after so many units."""
LATTICE = np.random.default_rng(2024).integers(0, 256, (PERIOD, PERIOD), np.uint8)


@numba.njit(nogil=True, cache=True, error_model="numpy")
def scatter(i: int, j: int) -> float:
    """A number in [0, 1] that looks random, for each pair of integers."""
    return float(LATTICE[(j + 7 * (i >> 8)) & 255, (i + 13 * (j >> 8)) & 255]) / 255.0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def noise(x: float, y: float) -> float:
    """Smooth value noise in [0, 1], one lump a unit."""
    left, top = floor(x), floor(y)
    a, b = x - left, y - top
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    i, j = np.uint64(left) & np.uint64(255), np.uint64(top) & np.uint64(255)
    k, m = np.uint64(left + 1) & np.uint64(255), np.uint64(top + 1) & np.uint64(255)
    upper = LATTICE[j, i] * (1 - a) + LATTICE[j, k] * a
    lower = LATTICE[m, i] * (1 - a) + LATTICE[m, k] * a
    return float(upper * (1 - b) + lower * b) / 255.0


@numba.njit(nogil=True, cache=True, error_model="numpy")
def billows(x: float, y: float, octaves: int) -> float:
    """Noise in [0, 1] with detail at `octaves` scales, each half as large and half as strong as the last."""
    total, strength = 0.0, 0.5
    for _ in range(octaves):
        total += strength * noise(x, y)
        x, y, strength = x * 2.03 + 17.1, y * 2.03 + 5.7, strength / 2
    return total / (1 - 2 * strength)
