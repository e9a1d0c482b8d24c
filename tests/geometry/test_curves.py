"""Closed curves against circles, squares and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry import curves

SQUARE = np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 4.0], [4.0, 0.0]])


def circle(radius: float, count: int) -> curves.Points:
    angle = np.arange(count) * 2 * np.pi / count
    return radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)


def test_the_length_counts_the_edge_back_to_the_first_vertex() -> None:
    assert curves.length(SQUARE) == 16
    assert curves.length(circle(3, 4096)) == pytest.approx(6 * np.pi, rel=1e-6)


def test_equidistant_points_go_round_and_begin_at_the_first_vertex() -> None:
    assert curves.equidistant(SQUARE, 8).tolist() == [
        [0, 0], [0, 2], [0, 4], [2, 4], [4, 4], [4, 2], [4, 0], [2, 0],
    ]  # fmt: skip


@given(count=st.integers(3, 60))
def test_equidistant_points_of_a_circle_make_a_regular_polygon(count: int) -> None:
    polygon = curves.equidistant(circle(1, 60_000), count)
    assert curves.length(polygon) == pytest.approx(2 * count * np.sin(np.pi / count), rel=1e-6)


@pytest.mark.parametrize("radius", [0.5, 20.0])
def test_the_curvature_of_a_circle_is_one_over_its_radius(radius: float) -> None:
    np.testing.assert_allclose(curves.curvature(circle(radius, 2048)), 1 / radius, rtol=1e-5)


def test_the_curvature_of_an_ellipse_is_largest_at_its_tips() -> None:
    angle = np.arange(4096) * 2 * np.pi / 4096
    found = curves.curvature(np.stack([3 * np.sin(angle), 8 * np.cos(angle)], axis=1))
    assert found.max() == pytest.approx(8 / 9, rel=1e-5)
    assert found.min() == pytest.approx(3 / 64, rel=1e-5)


def test_smoothing_shrinks_a_circle_by_the_filter_s_own_factor() -> None:
    radius, sigma = 10.0, 2.0
    smooth = curves.smooth(circle(radius, 8192), sigma, 4096)
    np.testing.assert_allclose(np.hypot(*smooth.T), radius * np.exp(-((sigma / radius) ** 2) / 2), rtol=1e-4)


def test_refining_keeps_vertices_and_length() -> None:
    fine = curves.refine(SQUARE, 0.3)
    assert curves.length(fine) == pytest.approx(16)
    assert {tuple(v) for v in SQUARE.tolist()} <= {tuple(v) for v in fine.tolist()}
    assert np.hypot(*(np.roll(fine, -1, axis=0) - fine).T).max() <= 0.3


@given(seed=st.integers(0, 10_000))
def test_distances_are_those_to_the_nearest_segment_within_half_a_segment(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outlines = [curves.refine(rng.random((5, 2)), 0.02) for _ in range(2)]
    points = rng.random((20, 2)) * 2 - 0.5
    starts = np.concatenate(outlines)
    spans = np.concatenate([np.roll(o, -1, axis=0) for o in outlines]) - starts
    share = (((points[:, None] - starts) * spans).sum(2) / (spans**2).sum(1)).clip(0, 1)
    brute = np.linalg.norm(points[:, None] - starts - share[..., None] * spans, axis=2).min(axis=1)
    found = curves.distances(points, outlines)
    assert (found >= brute - 1e-12).all()
    assert (found <= brute + 0.01).all()
    assert np.isclose(found, brute).mean() > 0.7


def test_hausdorff_is_that_of_the_side_that_strays_farther() -> None:
    assert curves.hausdorff([circle(3, 2000)], [circle(2, 2000)], 0.01) == pytest.approx(1, abs=1e-3)
    far = circle(1, 500) + 20
    two = [circle(3, 2000), far]
    expected = np.hypot(20, 20) + 1 - 3
    assert curves.hausdorff([circle(3, 2000)], two, 0.01) == pytest.approx(expected, abs=1e-2)
    assert curves.hausdorff(two, [circle(3, 2000)], 0.01) == pytest.approx(expected, abs=1e-2)


def test_what_is_no_closed_curve_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2, 2\), must be \(K, 2\) with at least 3 vertices"):
        curves.refine(SQUARE[:2], 1)
    with pytest.raises(ValueError, match="no curve"):
        curves.distances(SQUARE, [])
    with pytest.raises(ValueError, match="step is 0"):
        curves.refine(SQUARE, 0)
