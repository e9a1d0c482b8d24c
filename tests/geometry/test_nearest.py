from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from pipeline.geometry.nearest import nearest_boundary, nearest_pixels
from pipeline.geometry.tensors import flip, uniform
from tests.geometry.maps import nearest_by_definition, scaled_distances

sides = st.integers(2, 24)
grids = st.tuples(st.integers(2, 9), st.integers(2, 9))


@st.composite
def boundaries(draw: st.DrawFn) -> NDArray[np.bool_]:
    """(H, W) with at least one pixel set: single pixels, sparse and dense noise, lines, everything."""
    shape = draw(sides), draw(sides)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    boundary: NDArray[np.bool_] = rng.random(shape) < draw(st.sampled_from([0.0, 0.01, 0.1, 0.6, 1.0]))
    if draw(st.booleans()):
        boundary[rng.integers(shape[0])] = True
    if draw(st.booleans()):
        boundary[:, rng.integers(shape[1])] = True
    boundary[rng.integers(shape[0]), rng.integers(shape[1])] = True
    return boundary


def pixels_of(boundary: NDArray[np.bool_], grid: tuple[int, int]) -> NDArray[np.int32]:
    rows, cols = (a.astype(np.int32) for a in np.nonzero(boundary))
    return nearest_pixels(rows, cols, (boundary.shape[0], boundary.shape[1]), grid)


@given(boundaries(), grids)
@settings(max_examples=300)
def test_agrees_with_looking_at_every_pixel_ties_included(
    boundary: NDArray[np.bool_], grid: tuple[int, int]
) -> None:
    assert np.array_equal(pixels_of(boundary, grid), nearest_by_definition(boundary, grid))


@given(boundaries(), grids)
@settings(max_examples=50)
def test_coordinates_are_corner_aligned(boundary: NDArray[np.bool_], grid: tuple[int, int]) -> None:
    b = nearest_boundary(boundary, grid)
    assert b is not None
    assert (b.shape, b.dtype) == ((2, *grid), np.float64)
    pixels = pixels_of(boundary, grid)
    assert np.array_equal(b[0], pixels[0] / (boundary.shape[0] - 1))
    assert np.array_equal(b[1], pixels[1] / (boundary.shape[1] - 1))


@given(st.integers(1, 5), st.integers(1, 5), grids, st.integers(0, 2**32))
@settings(max_examples=100)
def test_as_near_as_the_distance_transform_where_grid_points_are_pixels(
    rows_apart: int, cols_apart: int, grid: tuple[int, int], seed: int
) -> None:
    shape = rows_apart * (grid[0] - 1) + 1, cols_apart * (grid[1] - 1) + 1
    rng = np.random.default_rng(seed)
    boundary = rng.random(shape) < 0.05
    boundary[rng.integers(shape[0]), rng.integers(shape[1])] = True
    y, x = np.mgrid[: shape[0] : rows_apart, : shape[1] : cols_apart]
    transform = distance_transform_edt(~boundary)[y, x]
    row, col = pixels_of(boundary, grid)
    assert boundary[row, col].all()
    assert np.allclose(np.hypot(row - y, col - x), transform, rtol=1e-12)


def test_large_map_agrees_with_the_distance_transform() -> None:
    rng = np.random.default_rng(5)
    boundary = rng.random((701, 701)) < 2e-4
    row, col = pixels_of(boundary, (8, 8))
    y, x = np.mgrid[:701:100, :701:100]
    assert np.allclose(np.hypot(row - y, col - x), distance_transform_edt(~boundary)[y, x], rtol=1e-12)


def test_ties_go_to_the_smallest_row_then_the_smallest_column() -> None:
    boundary = np.zeros((3, 3), bool)
    boundary[[0, 1, 1, 2], [1, 0, 2, 1]] = True
    assert pixels_of(boundary, (3, 3))[:, 1, 1].tolist() == [0, 1]
    boundary[0, 1] = False
    assert pixels_of(boundary, (3, 3))[:, 1, 1].tolist() == [1, 0]


def test_the_exact_grid_point_counts_and_not_the_pixel_it_rounds_to() -> None:
    boundary = np.zeros((9, 9), bool)
    boundary[1, 2] = boundary[4, 4] = True
    # Point (1, 1) of the grid is at (8/3, 8/3), nearer to (1, 2); pixel (3, 3) is nearer to (4, 4).
    assert pixels_of(boundary, (4, 4))[:, 1, 1].tolist() == [1, 2]


@given(boundaries(), grids)
@settings(max_examples=100)
def test_flipped_map_has_flipped_answers_of_the_same_distance(
    boundary: NDArray[np.bool_], grid: tuple[int, int]
) -> None:
    distances = scaled_distances((boundary.shape[0], boundary.shape[1]), grid)
    i, j = np.mgrid[: grid[0], : grid[1]]
    row, col = pixels_of(boundary, grid)
    flipped_row, flipped_col = pixels_of(boundary[:, ::-1], grid)[:, :, ::-1]
    back = boundary.shape[1] - 1 - flipped_col
    assert np.array_equal(distances[i, j, row, col], distances[i, j, flipped_row, back])
    assert np.array_equal(row, flipped_row), "the smallest row wins in both"
    unique = (np.where(boundary, distances, -1) == distances[i, j, row, col][..., None, None]).sum(
        (2, 3)
    ) == 1
    assert np.array_equal(col[unique], back[unique])


def test_flip_commutes_to_the_bit_of_rounding_where_no_ties_are() -> None:
    boundary = np.zeros((41, 41), bool)
    boundary[7, 11] = boundary[30, 22] = True
    b, mirrored = nearest_boundary(boundary), nearest_boundary(boundary[:, ::-1])
    assert b is not None
    assert mirrored is not None
    assert np.allclose(flip(b), mirrored, rtol=0, atol=1e-15)


def test_no_boundary_gives_none() -> None:
    assert nearest_boundary(np.zeros((5, 7), bool)) is None


def test_everything_boundary_gives_the_nearest_pixel_of_each_point() -> None:
    b = nearest_boundary(np.ones((15, 15), bool), (8, 8))
    assert b is not None
    assert np.allclose(b, uniform(8, 8), rtol=0, atol=1e-15)


@pytest.mark.parametrize(("row", "col"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_one_pixel_in_the_smallest_map(row: int, col: int) -> None:
    boundary = np.zeros((2, 2), bool)
    boundary[row, col] = True
    b = nearest_boundary(boundary, (5, 3))
    assert b is not None
    assert (b[0] == row).all()
    assert (b[1] == col).all()


@pytest.mark.parametrize(
    ("boundary", "grid", "message"),
    [
        (
            np.zeros((4, 4), np.uint8),
            (8, 8),
            "boundary map has shape (4, 4) and dtype uint8, must be (H, W) bool",
        ),
        (np.zeros(4, bool), (8, 8), "boundary map has shape (4,)"),
        (
            np.ones((1, 4), bool),
            (8, 8),
            "map of shape (1, 4) and grid (8, 8) must have at least 2 points a side",
        ),
        (np.ones((4, 4), bool), (8, 1), "map of shape (4, 4) and grid (8, 1) must have at least 2 points"),
        (np.ones((99, 99), bool), (50001, 50000), "grid (50001, 50000) is too fine for exact distances"),
    ],
)
def test_bad_maps_and_grids_are_refused(
    boundary: NDArray[np.bool_], grid: tuple[int, int], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        nearest_boundary(boundary, grid)


@pytest.mark.parametrize(
    ("rows", "cols", "message"),
    [
        ([], [], "boundary pixels have rows (0,) and columns (0,)"),
        ([1], [1, 2], "boundary pixels have rows (1,) and columns (2,)"),
        ([0, 9], [0, 0], "boundary pixels lie outside a map of shape (9, 9)"),
        ([0, 1], [0, -1], "boundary pixels lie outside a map of shape (9, 9)"),
        ([3, 2, 4], [0, 0, 0], "rows of boundary pixels must ascend"),
    ],
)
def test_bad_pixels_are_refused(rows: list[int], cols: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        nearest_pixels(np.array(rows, np.int32), np.array(cols, np.int32), (9, 9), (8, 8))
