from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from pipeline.geometry.tensors import flip, folded_cells, project, resize, triangles, uniform, validate

Floats = NDArray[np.floating[Any]]


@st.composite
def tensors_in_range(draw: st.DrawFn) -> Floats:
    """(2, h, w), values in [0, 1], constraints (3) not met, float32 or float64."""
    h, w = draw(st.integers(2, 12)), draw(st.integers(2, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.random((2, h, w)).astype(draw(st.sampled_from([np.float32, np.float64])))


sizes = st.tuples(st.integers(2, 70), st.integers(2, 70))


def meets_constraints(phi: Floats) -> bool:
    pinned = (phi[..., 0, 0, :] == 0).all() and (phi[..., 0, -1, :] == 1).all()
    pinned &= (phi[..., 1, :, 0] == 0).all() and (phi[..., 1, :, -1] == 1).all()
    return bool(pinned and (phi >= 0).all() and (phi <= 1).all())


def test_uniform_tensor_is_the_regular_grid() -> None:
    u = uniform(3, 5)
    assert u[0, :, 2].tolist() == [0, 0.5, 1]
    assert u[1, 1].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert meets_constraints(u)


@given(tensors_in_range(), sizes)
@settings(max_examples=150)
def test_resizing_keeps_the_constraints_and_the_dtype(phi: Floats, size: tuple[int, int]) -> None:
    resized = resize(project(phi), size)
    assert resized.shape == (2, *size)
    assert resized.dtype == phi.dtype
    assert meets_constraints(resized)


@given(tensors_in_range(), sizes)
@settings(max_examples=60)
def test_resizing_is_bilinear_and_corner_aligned(phi: Floats, size: tuple[int, int]) -> None:
    y, x = uniform(*size)
    axes = np.linspace(0, 1, phi.shape[1]), np.linspace(0, 1, phi.shape[2])
    for component, resized in zip(phi.astype(float), resize(phi, size), strict=True):
        expected = RegularGridInterpolator(axes, component)(np.stack([y, x], -1))
        assert np.allclose(resized, expected, rtol=0, atol=1e-6 if phi.dtype == np.float32 else 1e-12)


@given(tensors_in_range(), st.integers(1, 5))
@settings(max_examples=40)
def test_points_that_a_finer_grid_shares_keep_their_values(phi: Floats, times: int) -> None:
    h, w = phi.shape[1:]
    fine = resize(phi, ((h - 1) * times + 1, (w - 1) * times + 1))
    assert np.array_equal(fine[:, ::times, ::times], phi)


@given(sizes, sizes)
@settings(max_examples=40)
def test_resized_uniform_tensor_is_uniform(old: tuple[int, int], new: tuple[int, int]) -> None:
    assert np.allclose(resize(uniform(*old), new), uniform(*new), rtol=0, atol=1e-15)


def test_one_number_resizes_to_a_square_and_batches_are_resized_member_by_member() -> None:
    phi = np.random.default_rng(0).random((3, 4, 2, 8, 8))
    assert np.array_equal(resize(phi, 17), resize(phi, (17, 17)))
    assert np.array_equal(resize(phi, 17)[2, 1], resize(phi[2, 1], 17))


@given(tensors_in_range())
@settings(max_examples=40)
def test_projection_changes_only_what_the_constraints_ask(phi: Floats) -> None:
    wild = phi * 3 - 1
    projected = project(wild)
    assert meets_constraints(projected)
    assert projected.dtype == phi.dtype
    assert np.array_equal(projected[0, 1:-1], wild.clip(0, 1)[0, 1:-1])
    assert np.array_equal(projected[1, :, 1:-1], wild.clip(0, 1)[1, :, 1:-1])
    assert np.array_equal(project(projected), projected)


@given(tensors_in_range())
@settings(max_examples=40)
def test_flip_mirrors_the_sampled_places(phi: Floats) -> None:
    _, h, w = phi.shape
    flipped = flip(phi)
    for i in range(h):
        for j in range(w):
            assert flipped[0, i, j] == phi[0, i, w - 1 - j]
            assert flipped[1, i, j] == 1 - phi[1, i, w - 1 - j]
    assert np.allclose(flip(flipped), phi, rtol=0, atol=1e-7)
    assert meets_constraints(flip(project(phi)))


def test_uniform_tensor_is_its_own_mirror_image() -> None:
    assert np.allclose(flip(uniform(8, 9)), uniform(8, 9), rtol=0, atol=1e-15)


@given(tensors_in_range())
@settings(max_examples=60)
def test_folded_cells_are_those_with_a_reversed_triangle(phi: Floats) -> None:
    y, x = phi.astype(np.float64).reshape(2, -1)
    h, w = phi.shape[1:]
    folded = folded_cells(phi)
    assert folded.shape == (h - 1, w - 1)
    for i in range(h - 1):
        for j in range(w - 1):
            areas = []
            for a, b, c in triangles(h, w)[i, j]:
                sides = np.array([[x[b] - x[a], y[b] - y[a]], [x[c] - x[a], y[c] - y[a]]])
                areas.append(np.linalg.det(sides) / 2)
            assert folded[i, j] == (min(areas) < -1e-12)


def test_uniform_tensor_has_no_fold() -> None:
    assert not folded_cells(uniform(8, 8)).any()


def test_collapsed_cells_are_not_folded() -> None:
    phi = uniform(4, 4)
    phi[:, 1:3, 1:3] = 0.3
    assert not folded_cells(phi).any()


def test_a_point_beyond_its_neighbour_folds_cells() -> None:
    phi = uniform(5, 5)
    phi[1, 2, 2] = 0.8
    assert folded_cells(phi).tolist() == [
        [False, False, False, False],
        [False, False, True, False],
        [False, False, True, False],
        [False, False, False, False],
    ]


def test_folded_cells_of_a_batch() -> None:
    phi = np.random.default_rng(1).random((3, 2, 2, 6, 7))
    assert np.array_equal(folded_cells(phi)[2, 1], folded_cells(phi[2, 1]))


@pytest.mark.parametrize("diagonal", ["main", "anti"])
def test_triangles_cover_the_uniform_grid_once_all_turning_the_same_way(diagonal: str) -> None:
    y, x = uniform(4, 6).reshape(2, -1)
    corners = triangles(4, 6, diagonal)
    assert corners.shape == (3, 5, 2, 3)
    a, b, c = np.moveaxis(corners, -1, 0)
    area = ((x[b] - x[a]) * (y[c] - y[a]) - (y[b] - y[a]) * (x[c] - x[a])) / 2
    assert np.allclose(area, 1 / 30)
    shared = [(0, 7), (1, 6)][diagonal == "anti"]
    assert all(set(shared) <= set(half) for half in corners[0, 0].tolist())


def test_unknown_diagonal_is_refused() -> None:
    with pytest.raises(ValueError, match='diagonal is \'up\', must be "main" or "anti"'):
        triangles(3, 3, "up")


@pytest.mark.parametrize(
    ("phi", "message"),
    [
        (np.zeros((3, 4, 4)), "sampling tensor has shape (3, 4, 4), must be (..., 2, h, w) with h, w >= 2"),
        (np.zeros((2, 1, 4)), "sampling tensor has shape (2, 1, 4)"),
        (np.zeros((4, 4)), "sampling tensor has shape (4, 4)"),
        (np.zeros((2, 4, 4), int), "has dtype int64, must be floating point"),
        (uniform(3, 3) * 1.1, "of shape (2, 3, 3) has values that are NaN or outside [0, 1]"),
        (uniform(3, 3) * np.nan, "of shape (2, 3, 3) has values that are NaN or outside [0, 1]"),
    ],
)
def test_what_is_no_sampling_tensor_is_refused(phi: NDArray[Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        validate(phi)


def test_sampling_tensors_pass_validation() -> None:
    validate(uniform(2, 3))
    validate(np.random.default_rng(0).random((5, 4, 2, 8, 8)).astype(np.float32))


def test_shapes_are_checked_everywhere() -> None:
    for call in (project, flip, folded_cells, lambda phi: resize(phi, 4)):
        with pytest.raises(ValueError, match=r"sampling tensor has shape \(3, 4, 4\)"):
            call(np.zeros((3, 4, 4)))  # type: ignore[operator]


def test_grids_below_two_points_are_refused() -> None:
    for call in (
        lambda: uniform(1, 8),
        lambda: resize(uniform(3, 3), (4, 1)),
        lambda: triangles(1, 8),
    ):
        with pytest.raises(ValueError, match="must have at least 2 points a side"):
            call()
