"""Means over the cells of samples, against fractions of pixels written out one by one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.geometry import sampling, tensors
from pipeline.geometry.cells import PARTS, boxes, cell_means, sample_image


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def warped(seed: int, resolution: int, strength: float = 0.2) -> NDArray[np.float64]:
    """A tensor on constraints (3) far from uniform; strong ones fold cells over."""
    rng = np.random.default_rng(seed)
    coarse = tensors.project(tensors.uniform(4, 5) + strength * rng.standard_normal((2, 4, 5)))
    return tensors.resize(coarse, resolution)


def slow_ends(points: list[float], k: int, length: int) -> tuple[Fraction, Fraction]:
    """Ends of cell k in whole 256ths of a pixel, from the points of one line of the grid."""
    places = [Fraction(p) * (length - 1) + Fraction(1, 2) for p in points]
    before = (places[k - 1] + places[k]) / 2 if k else Fraction(0)
    after = (places[k] + places[k + 1]) / 2 if k + 1 < len(places) else Fraction(length)
    marks = [Fraction(round(PARTS * place), PARTS) for place in (before, places[k], after)]
    return min(marks), max(marks)


def slow_mean(
    image: NDArray[np.uint8], rows: tuple[Fraction, Fraction], cols: tuple[Fraction, Fraction]
) -> list[int]:
    total, area = [Fraction(0)] * 3, (rows[1] - rows[0]) * (cols[1] - cols[0])
    for y in range(int(rows[0]), image.shape[0]):
        tall = min(rows[1], Fraction(y + 1)) - max(rows[0], Fraction(y))
        for x in range(int(cols[0]), image.shape[1]):
            wide = min(cols[1], Fraction(x + 1)) - max(cols[0], Fraction(x))
            if tall > 0 and wide > 0:
                total = [t + tall * wide * int(v) for t, v in zip(total, image[y, x], strict=True)]
    return [int(t / area + Fraction(1, 2)) for t in total]


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.4])
def test_means_are_those_of_the_exact_parts_of_pixels(strength: float) -> None:
    image, phi = picture(23, 19), warped(3, 9, strength)
    means = cell_means(image, phi)
    for i in range(9):
        for j in range(9):
            rows = slow_ends(phi[0, :, j].tolist(), i, 23)
            cols = slow_ends(phi[1, i].tolist(), j, 19)
            if rows[0] < rows[1] and cols[0] < cols[1]:
                assert means[i, j].tolist() == slow_mean(image, rows, cols), (i, j)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(2, 40), st.integers(2, 40))
@settings(max_examples=30, deadline=None)
def test_uniform_cells_divide_the_image(h: int, w: int, height: int, width: int) -> None:
    top, bottom, left, right = boxes(tensors.uniform(h, w), (height, width))
    if max(h / height, w / width) <= 1:
        for low, high, length in ((top, bottom, height), (left.T, right.T, width)):
            assert (low[0] == 0).all()
            assert (high[-1] == PARTS * length).all()
            assert np.array_equal(high[:-1], low[1:])
    assert ((bottom > top) & (right > left)).all()


@given(st.integers(0, 1000), st.integers(2, 12), st.integers(2, 30), st.floats(0, 1))
@settings(max_examples=50, deadline=None)
def test_a_point_lies_in_its_cell_also_where_cells_fold(
    seed: int, resolution: int, side: int, strength: float
) -> None:
    phi = warped(seed, resolution, strength)
    top, bottom, left, right = boxes(phi, side)
    y, x = PARTS * (phi * (side - 1) + 0.5)
    assert ((top - 0.5 <= y) & (y <= bottom + 0.5) & (left - 0.5 <= x) & (x <= right + 0.5))[
        (bottom - top != PARTS) & (right - left != PARTS)
    ].all()
    assert min(top.min(), left.min()) >= 0
    assert max(bottom.max(), right.max()) <= PARTS * side


def test_as_many_samples_as_pixels_are_the_pixels() -> None:
    image = picture(17, 17)
    assert np.array_equal(cell_means(image, tensors.uniform(17, 17)), image)


def test_cells_inside_one_pixel_are_nearest_pixels() -> None:
    image, phi = picture(3, 3), np.full((2, 4, 4), 0.5)
    phi[:, 1:3, 1:3] += 1e-6
    assert np.array_equal(cell_means(image, phi)[1:3, 1:3], sampling.sample(image, phi)[1:3, 1:3])


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_means_commute_with_flips(seed: int) -> None:
    image = picture(30, 30, seed)
    coarse = np.round(2**20 * tensors.project(warped(seed, 5))) / 2**20  # so that 1 - x is exact
    phi = tensors.resize(coarse, 9)
    assert np.array_equal(cell_means(image[:, ::-1], tensors.flip(phi)), cell_means(image, phi)[:, ::-1])


def test_the_mean_of_uniform_cells_by_their_areas_is_that_of_the_image() -> None:
    image = picture(50, 40)
    top, bottom, left, right = boxes(tensors.uniform(8, 8), (50, 40))
    areas = ((bottom - top) * (right - left))[..., None]
    means = (cell_means(image, tensors.uniform(8, 8)) * areas).sum((0, 1)) / areas.sum((0, 1))
    assert np.abs(means - image.mean((0, 1))).max() < 0.5


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8"):
        cell_means(np.zeros((4, 4), np.uint8), tensors.uniform(2, 2))
    with pytest.raises(ValueError, match="must be area or nearest"):
        sample_image(picture(4, 4), tensors.uniform(2, 2), "mean")
    assert np.array_equal(
        sample_image(picture(9, 9), tensors.uniform(4, 4)),
        sampling.sample(picture(9, 9), tensors.uniform(4, 4)),
    )
