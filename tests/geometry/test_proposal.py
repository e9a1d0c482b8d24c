"""A label map's proposal is that of its steps, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.geometry.boundaries import target_boundaries
from pipeline.geometry.crops import central_crop
from pipeline.geometry.energy import energy, solve
from pipeline.geometry.nearest import nearest_boundary
from pipeline.geometry.proposal import of_boundary, of_many, of_nearest, propose
from pipeline.geometry.tensors import uniform


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(2, 9), st.integers(2, 9), st.floats(0, 10), st.integers(0, 2**32 - 1))
def test_it_minimises_the_energy_of_the_nearest_boundary(side, h, w, lam, seed):
    labels = np.random.default_rng(seed).integers(0, 3, (side, side), np.uint8)
    phi = propose(labels, [1], (h, w), lam)
    b = nearest_boundary(target_boundaries(labels, [1]), (h, w))
    if b is None:
        np.testing.assert_array_equal(phi, uniform(h, w))
    else:
        np.testing.assert_array_equal(phi, solve(b, lam))
        assert energy(phi, b, lam) <= energy(uniform(h, w), b, lam) + 1e-12
    np.testing.assert_array_equal(phi, of_boundary(target_boundaries(labels, [1]), (h, w), lam))


@pytest.mark.parametrize("kind", [np.uint16, np.int64])
def test_it_is_the_same_for_ids_of_every_type(kind: type[np.integer]) -> None:
    """Bytes are listed as they are compared, others are marked first; 254 and 255 are ids like others."""
    chance = np.random.default_rng(3)
    for ids in ([0, 1, 254, 255], [1, 253, 254], [255]):
        labels = chance.choice(np.array(ids, np.uint8), (9, 9)).repeat(9, axis=0).repeat(9, axis=1)
        for targets in ([1], [1, 253]):
            np.testing.assert_array_equal(propose(labels, targets), propose(labels.astype(kind), targets))
            marked = target_boundaries(labels, targets)
            np.testing.assert_array_equal(marked, target_boundaries(labels.astype(kind), targets))


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (0, 0), (5,)])
def test_label_maps_without_a_square_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="label map has shape|must have at least 2 points a side"):
        propose(np.zeros(shape, np.uint8), [1])


@pytest.mark.parametrize("labels", [np.zeros((5, 5), np.uint8), np.ones((5, 5), np.uint8)])
def test_without_a_boundary_it_is_the_uniform_tensor(labels):
    np.testing.assert_array_equal(propose(labels, [1], (3, 4)), uniform(3, 4))
    np.testing.assert_array_equal(of_nearest(None, (3, 4), 1.0), uniform(3, 4))


def test_many_crops_at_once_are_the_same_as_one_by_one():
    rng = np.random.default_rng(0)
    b = rng.random((5, 2, 2, 4, 6))
    has = rng.random((5, 2)) < 0.6
    b[~has] = np.nan
    phi, pull = of_many(b, has, 0.5)
    for place in np.ndindex(5, 2):
        expected = of_nearest(b[place] if has[place] else None, (4, 6), 0.5)
        np.testing.assert_allclose(phi[place], expected, atol=1e-12)
        np.testing.assert_array_equal(pull[place], b[place] if has[place] else uniform(4, 6))


@pytest.mark.parametrize("shape", [(7, 4), (4, 7), (5, 5), (6, 9, 3)])
def test_the_central_crop_is_the_largest_square_in_the_middle(shape):
    array = np.arange(np.prod(shape)).reshape(shape)
    crop = central_crop(array)
    side = min(shape[:2])
    top, left = (shape[0] - side) // 2, (shape[1] - side) // 2
    np.testing.assert_array_equal(crop, array[top : top + side, left : left + side])
    assert crop.flags.c_contiguous
