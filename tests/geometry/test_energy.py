from __future__ import annotations

import math
import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import lsq_linear
from scipy.sparse.linalg import spsolve

from pipeline.geometry.energy import energy, solve, terms
from pipeline.geometry.tensors import flip, project, uniform

Floats = NDArray[np.float64]

weights = st.one_of(st.sampled_from([0.0, 1.0]), st.floats(1e-4, 1e4))


@st.composite
def targets(draw: st.DrawFn, longest: int = 12) -> Floats:
    """(2, h, w) in [0, 1]: random, all in one corner, or two clusters."""
    h, w = draw(st.integers(2, longest)), draw(st.integers(2, longest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["random", "corner", "clusters"]))
    if kind == "corner":
        return np.broadcast_to(rng.integers(0, 2, (2, 1, 1)).astype(float), (2, h, w)).copy()
    b = rng.random((2, h, w))
    return b if kind == "random" else np.where(rng.random((h, w)) < 0.5, 0.1, 0.9) + 0.1 * b


def neighbours(h: int, w: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    points = list(product(range(h), range(w)))
    return [
        ((i, j), (i + di, j + dj))
        for i, j in points
        for di, dj in ((1, 0), (0, 1))
        if i + di < h and j + dj < w
    ]


def differences(h: int, w: int) -> sparse.csr_array:
    """(pairs, h w): one row a pair of neighbours, +1 and -1."""
    pairs = [(i * w + j, y * w + x) for (i, j), (y, x) in neighbours(h, w)]
    rows = np.repeat(np.arange(len(pairs)), 2)
    return sparse.csr_array(
        (np.tile([1.0, -1.0], len(pairs)), (rows, np.ravel(pairs))), shape=(len(pairs), h * w)
    )


def constrained(component: int, h: int, w: int) -> NDArray[np.bool_]:
    """(h w,) grid points that (3) pins."""
    pinned = np.zeros((h, w), bool)
    if component == 0:
        pinned[0] = pinned[-1] = True
    else:
        pinned[:, 0] = pinned[:, -1] = True
    return pinned.ravel()


def solve_sparse(b: Floats, lam: float) -> Floats:
    """Normal equations of energy (2) in the unknowns that (3) leaves, by a general sparse solver."""
    _, h, w = b.shape
    d = differences(h, w)
    hessian = sparse.eye_array(h * w) + lam * (d.T @ d)
    phi = uniform(h, w)
    for component in range(2):
        pinned = constrained(component, h, w)
        x = phi[component].ravel()
        rows = hessian.tocsr()[~pinned]
        if len(rows.indptr) > 1:
            right = b[component].ravel()[~pinned] - rows[:, pinned] @ x[pinned]
            x[~pinned] = spsolve(sparse.csc_array(rows[:, ~pinned]), right)
        phi[component] = x.reshape(h, w)
    return phi


def solve_bounded(b: Floats, lam: float) -> Floats:
    """Energy (2) as bounded least squares, with the box constraint stated."""
    _, h, w = b.shape
    a = np.vstack([np.eye(h * w), math.sqrt(lam) * differences(h, w).toarray()])
    phi = uniform(h, w)
    for component in range(2):
        pinned = constrained(component, h, w)
        if pinned.all():
            continue
        x = phi[component].ravel()
        wanted = np.concatenate([b[component].ravel(), np.zeros(len(a) - h * w)]) - a[:, pinned] @ x[pinned]
        x[~pinned] = lsq_linear(a[:, ~pinned], wanted, (0, 1), method="bvls", tol=1e-14).x
        phi[component] = x.reshape(h, w)
    return phi


def meets_constraints(phi: Floats) -> bool:
    pinned = (phi[0, 0] == 0).all() and (phi[0, -1] == 1).all()
    pinned &= (phi[1, :, 0] == 0).all() and (phi[1, :, -1] == 1).all()
    return bool(pinned and (phi >= 0).all() and (phi <= 1).all())


@given(targets(6), targets(6), weights)
@settings(max_examples=50)
def test_energy_is_the_sum_written_out(phi: Floats, b: Floats, lam: float) -> None:
    h, w = min(phi.shape[1], b.shape[1]), min(phi.shape[2], b.shape[2])
    phi, b = phi[:, :h, :w], b[:, :h, :w]
    data = sum(((phi[:, i, j] - b[:, i, j]) ** 2).sum() for i, j in product(range(h), range(w)))
    smoothness = sum(
        ((phi[(slice(None), *p)] - phi[(slice(None), *q)]) ** 2).sum() for p, q in neighbours(h, w)
    )
    assert terms(phi, b) == pytest.approx((data, smoothness))
    assert energy(phi, b, lam) == pytest.approx(data + lam * smoothness)


def test_each_pair_of_neighbours_counts_once() -> None:
    u = uniform(2, 2)
    assert terms(u, u) == (0.0, 4.0)
    assert energy(u, 1 - u, 10.0) == 8.0 + 40.0


def test_energy_of_a_batch_is_that_of_its_members() -> None:
    phi, b = np.random.default_rng(0).random((2, 3, 4, 2, 5, 6))
    together = energy(phi, b, 0.7)
    assert isinstance(together, np.ndarray)
    assert together.shape == (3, 4)
    assert together[2, 1] == pytest.approx(energy(phi[2, 1], b[2, 1], 0.7))
    assert isinstance(energy(phi[0, 0], b[0, 0], 0.7), float)


@given(targets(), weights)
@settings(max_examples=100)
def test_minimiser_is_that_of_a_sparse_solver(b: Floats, lam: float) -> None:
    assert np.abs(solve(b, lam) - solve_sparse(b, lam)).max() < 1e-9


@given(targets(5), weights)
@settings(max_examples=40)
def test_minimiser_is_that_of_bounded_least_squares(b: Floats, lam: float) -> None:
    phi, bounded = solve(b, lam), solve_bounded(b, lam)
    assert np.abs(phi - bounded).max() < 1e-6
    assert float(energy(phi, b, lam)) <= float(energy(bounded, b, lam)) * (1 + 1e-12) + 1e-12


@given(targets(), weights)
@settings(max_examples=100)
def test_constraints_hold_exactly(b: Floats, lam: float) -> None:
    assert meets_constraints(solve(b, lam))


@pytest.mark.parametrize("corner", [0.0, 1.0])
def test_rounding_does_not_leave_the_box_where_points_touch_it(corner: float) -> None:
    assert meets_constraints(solve(np.full((2, 16, 16), corner), 0.0))


@given(targets(), weights)
@settings(max_examples=100)
def test_box_constraint_never_binds(b: Floats, lam: float) -> None:
    unbounded = solve_sparse(b, lam)
    assert unbounded.min() > -1e-9
    assert unbounded.max() < 1 + 1e-9


@given(targets(), weights, st.integers(0, 2**32), st.floats(1e-6, 1))
@settings(max_examples=150)
def test_no_feasible_tensor_has_less_energy(b: Floats, lam: float, seed: int, step: float) -> None:
    rng = np.random.default_rng(seed)
    phi = solve(b, lam)
    least = float(energy(phi, b, lam))
    others = [rng.random(b.shape), b, uniform(*b.shape[1:]), phi + step * rng.standard_normal(b.shape)]
    for other in others:
        assert float(energy(project(other), b, lam)) >= least * (1 - 1e-12)


@given(targets())
@settings(max_examples=50)
def test_without_smoothness_points_sit_on_their_boundary(b: Floats) -> None:
    assert np.allclose(solve(b, 0.0), project(b), rtol=0, atol=1e-14)


@given(targets(), st.sampled_from([1e14, 1e200, 1.7e308]))
@settings(max_examples=50)
def test_huge_smoothness_gives_the_uniform_tensor(b: Floats, lam: float) -> None:
    assert np.allclose(solve(b, lam), uniform(*b.shape[1:]), rtol=0, atol=1e-9)


@given(targets(), weights)
@settings(max_examples=100)
def test_solving_commutes_with_flipping(b: Floats, lam: float) -> None:
    assert np.allclose(solve(flip(b), lam), flip(solve(b, lam)), rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(2, 2), (2, 7), (7, 2)])
def test_sides_of_two_points_have_nothing_to_solve(shape: tuple[int, int]) -> None:
    b = np.random.default_rng(1).random((2, *shape))
    phi, u = solve(b, 1.0), uniform(*shape)
    for component in range(2):
        if shape[component] == 2:
            assert np.array_equal(phi[component], u[component])
    assert np.abs(phi - solve_sparse(b, 1.0)).max() < 1e-12


@pytest.mark.parametrize("shape", [(8, 8), (5, 11), (33, 64)])
def test_result_does_not_depend_on_the_batch(shape: tuple[int, int]) -> None:
    b = np.random.default_rng(2).random((1100, 2, *shape))
    together = solve(b.reshape(11, 100, 2, *shape), 1.0).reshape(b.shape)
    for k in (0, 511, 1023, 1024, 1099):
        assert np.array_equal(solve(b[k], 1.0), together[k])


def test_large_grid_is_solved_exactly() -> None:
    b = np.random.default_rng(3).random((2, 65, 40))
    assert np.abs(solve(b, 3.0) - solve_sparse(b, 3.0)).max() < 1e-9


def test_empty_batch_and_single_precision_are_taken() -> None:
    assert solve(np.empty((0, 2, 8, 8)), 1.0).shape == (0, 2, 8, 8)
    b = np.random.default_rng(4).random((3, 2, 8, 8)).astype(np.float32)
    assert solve(b, 1.0).dtype == np.float64
    assert np.array_equal(solve(b, 1.0), solve(b.astype(np.float64), 1.0))


def test_input_is_left_alone() -> None:
    b = np.random.default_rng(5).random((2, 8, 8))
    before = b.copy()
    solve(b, 1.0)
    assert np.array_equal(b, before)


@pytest.mark.parametrize("lam", [-1.0, math.nan, math.inf])
def test_bad_weights_are_refused(lam: float) -> None:
    u = uniform(3, 3)
    for call in (lambda: solve(u, lam), lambda: energy(u, u, lam)):
        with pytest.raises(ValueError, match=f"lambda is {lam}, must be finite and at least 0"):
            call()


@pytest.mark.parametrize("value", [math.nan, -0.1, 1.1, math.inf])
def test_targets_outside_the_crop_are_refused(value: float) -> None:
    b = np.full((700, 2, 8, 8), 0.5)
    b[-1, 1, 2, 3] = value
    with pytest.raises(
        ValueError, match=re.escape("(700, 2, 8, 8) have values that are NaN or outside [0, 1]")
    ):
        solve(b, 1.0)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 4), (2, 1, 4), (2, 4, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"array has shape {shape}, must be (..., 2, h, w) with h, w >= 2")
    for call in (lambda: solve(np.zeros(shape), 1.0), lambda: terms(np.zeros(shape), np.zeros(shape))):
        with pytest.raises(ValueError, match=message):
            call()


def test_different_shapes_are_refused() -> None:
    with pytest.raises(
        ValueError, match=re.escape("has shape (2, 3, 3) but nearest boundaries have (2, 3, 4)")
    ):
        energy(uniform(3, 3), uniform(3, 4), 1.0)
