from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import Delaunay

from pipeline.geometry.interpolation import (
    draw_label_map,
    interpolate,
    interpolate_label_map,
    interpolate_labels,
    locate,
    mesh,
    split,
)
from pipeline.geometry.tensors import flip, folded_cells, project, resize, triangles, uniform

Array = NDArray[np.float64]


def wobbled(rng: np.random.Generator, h: int, w: int, strength: float) -> Array:
    """A tensor that meets the constraints; strength in cells: beyond about 0.3, cells fold."""
    step = np.array([1 / (h - 1), 1 / (w - 1)])[:, None, None]
    return project(uniform(h, w) + rng.uniform(-strength, strength, (2, h, w)) * step)


@st.composite
def cases(draw: st.DrawFn) -> tuple[np.random.Generator, Array, tuple[int, int]]:
    """Tensors of all sorts: unfolded, folded, collapsed, on pixel centres, far outside before projection."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    h, w = draw(st.integers(2, 9)), draw(st.integers(2, 9))
    size = draw(st.integers(2, 40)), draw(st.integers(2, 40))
    phi = wobbled(rng, h, w, draw(st.sampled_from([0, 0.25, 1, 5, 100])))
    if draw(st.booleans()):
        steps = draw(st.sampled_from([2, size[0] - 1, size[1] - 1, 8]))
        phi = np.round(phi * steps) / steps
    return rng, phi, size


def plane(coefficients: Array, y: Array, x: Array) -> Array:
    a, b, c = coefficients[:, :, None, None]
    return a + b * y + c * x


def pixels(size: tuple[int, int]) -> tuple[Array, Array]:
    y, x = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]), indexing="ij")
    return y, x


@settings(max_examples=150, deadline=None)
@given(cases())
def test_linear_scores_are_reproduced_at_every_pixel_folded_or_not(case) -> None:  # type: ignore[no-untyped-def]
    rng, phi, size = case
    coefficients = rng.uniform(-1, 1, (3, 4))
    scores, want = plane(coefficients, *phi), plane(coefficients, *pixels(size))
    np.testing.assert_allclose(interpolate(scores, phi, size), want, rtol=0, atol=1e-12)
    got = interpolate(scores.astype(np.float32), phi, size)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-6)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_every_pixel_gets_the_triangle_with_it_that_the_rule_says(case) -> None:  # type: ignore[no-untyped-def]
    _, phi, size = case
    vertices, weights = locate(phi, size)
    assert weights.min() >= -1e-9
    np.testing.assert_allclose(weights.sum(axis=0), 1, atol=1e-12)
    scale = np.array(size)[:, None] - 1
    points = phi.reshape(2, -1) * scale
    corners = mesh(phi, size).corners
    (ya, yb, yc), (xa, xb, xc) = points[0][corners].T, points[1][corners].T
    area = (xb - xa) * (yc - ya) - (yb - ya) * (xc - xa)
    row, col = (grid.ravel()[:, None] for grid in np.indices(size))
    # Signed areas of a pixel with each side: clear of all three, and right way up, it lies inside.
    inside = area > 1e-6
    for (y0, x0), (y1, x1) in [((ya, xa), (yb, xb)), ((yb, xb), (yc, xc)), ((yc, xc), (ya, xa))]:
        inside = inside & ((x1 - x0) * (row - y0) - (y1 - y0) * (col - x0) > 1e-6)
    known = {tuple(corner): n for n, corner in enumerate(corners)}
    chosen = np.array([known[tuple(corner)] for corner in vertices.reshape(3, -1).T])
    smallest = np.where(inside, area, np.inf).min(axis=1)
    assert (area[chosen] <= smallest + 1e-9).all()
    assert (area[chosen] >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scipy_where_delaunay_has_the_same_triangles(seed: int) -> None:
    rng = np.random.default_rng(seed)
    phi = wobbled(rng, 12, 9, 0.12)
    assert not folded_cells(phi).any()
    size = (41, 33)
    scores = rng.normal(size=(3, 12, 9))
    delaunay = Delaunay(phi.reshape(2, -1).T)
    points = np.stack([axis.ravel() for axis in pixels(size)], axis=1)
    theirs = np.sort(delaunay.simplices[delaunay.find_simplex(points, tol=1e-9)], axis=1)
    ours = np.sort(locate(phi, size)[0].reshape(3, -1).T, axis=1)
    same = (theirs == ours).all(axis=1)
    assert same.mean() > 0.8
    want = LinearNDInterpolator(delaunay, scores.reshape(3, -1).T)(points)
    got = interpolate(scores, phi, size).reshape(3, -1).T
    np.testing.assert_allclose(got[same], want[same], rtol=0, atol=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 8), st.booleans(), st.sampled_from([np.float32, np.float64]))
def test_labels_are_the_arg_max_of_the_scores(case, classes, smooth, dtype) -> None:  # type: ignore[no-untyped-def]
    rng, phi, size = case
    scores = rng.normal(size=(classes, *phi.shape[1:])).astype(dtype)
    if smooth:
        scores = plane(rng.normal(size=(3, classes)), *phi).astype(dtype)
    whole = interpolate(scores, phi, size)
    labels = interpolate_labels(scores, phi, size)
    chosen = np.take_along_axis(whole, labels[None].astype(np.intp), axis=0)[0]
    rounding = 8 * np.finfo(dtype).eps * np.abs(scores).max()
    assert (whole.max(axis=0) - chosen <= rounding).all()
    clear = np.ones(size, bool)
    if classes > 1:
        second, first = np.partition(whole, -2, axis=0)[-2:]
        clear = first - second > rounding
    np.testing.assert_array_equal(labels[clear], whole.argmax(axis=0)[clear])


def test_equal_scores_go_to_the_smallest_class() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 2, (6, 5, 5)).astype(np.float32)
    phi = uniform(5, 5)
    # Pixels and samples coincide at every second pixel: ties there are exact.
    np.testing.assert_array_equal(interpolate_labels(scores, phi, 9)[::2, ::2], scores.argmax(axis=0))
    assert (interpolate_labels(np.zeros((3, 4, 4)), uniform(4, 4), 7) == 0).all()


def test_large_triangles_are_drawn_in_pieces() -> None:
    scores = np.random.default_rng(0).normal(size=(5, 2, 2))
    whole = interpolate(scores, uniform(2, 2), (300, 200))
    y, x = pixels((300, 200))
    a, b, c, d = scores.reshape(5, 4).T[:, :, None, None]
    want = np.where(x >= y, a + x * (b - a) + y * (d - b), a + y * (c - a) + x * (d - c))
    np.testing.assert_allclose(whole, want, atol=1e-12)
    np.testing.assert_array_equal(interpolate_labels(scores, uniform(2, 2), (300, 200)), want.argmax(axis=0))


def test_interpolation_commutes_with_flipping_where_no_diagonals_are_equal() -> None:
    rng = np.random.default_rng(3)
    phi = wobbled(rng, 9, 9, 0.8)
    assert folded_cells(phi).any()
    scores = rng.normal(size=(4, 9, 9))
    mirrored = interpolate(scores[..., ::-1], flip(phi), 30)[..., ::-1]
    np.testing.assert_allclose(mirrored, interpolate(scores, phi, 30), atol=1e-9)


def test_flipping_a_uniform_tensor_mirrors_the_diagonals() -> None:
    scores = np.array([[[0.0, 1.0], [0.0, 0.0]]])
    assert interpolate(scores, uniform(2, 2), 3)[0, 1, 1] == 0  # on the diagonal from 0 to 0
    assert interpolate(scores[..., ::-1], uniform(2, 2), 3)[0, 1, 1] == 0.5  # from 1 to 0


def test_cells_are_split_along_the_shorter_diagonal() -> None:
    phi = uniform(3, 3)
    phi[:, 1, 1] = 0.4, 0.4  # the first cell shrinks along one diagonal, the last one grows
    assert split(phi).tolist() == [[False, False], [False, True]]
    triangles = mesh(phi, 5).corners.reshape(2, 2, 2, 3)
    assert [set(t) for t in triangles[0, 0]] == [{0, 1, 4}, {0, 4, 3}]
    assert [set(t) for t in triangles[0, 1]] == [{1, 2, 5}, {1, 5, 4}]
    assert [set(t) for t in triangles[1, 1]] == [{4, 5, 7}, {5, 8, 7}]


@pytest.mark.parametrize("diagonal", ["main", "anti"])
def test_triangles_are_those_of_the_tensors_module(diagonal: str) -> None:
    turned = np.full((3, 4), diagonal == "anti")
    got = mesh(uniform(4, 5), 9, turned).corners
    want = triangles(4, 5, diagonal).reshape(-1, 3)
    np.testing.assert_array_equal(np.sort(got, axis=1), np.sort(want, axis=1))


@pytest.mark.parametrize("seed", range(60))
def test_filling_runs_draws_what_drawing_triangle_by_triangle_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = rng.integers(2, 40, 2)
    size = (int(rng.integers(2, 60)), int(rng.integers(2, 60)))
    phi = resize(wobbled(rng, 5, 5, 0.2), (int(h), int(w)))
    if seed % 3 == 0:  # vertices on pixels, where runs begin at one point
        phi, size = uniform(int(h), int(w)), (int(h + (h - 1) * (seed % 4)), int(w + (w - 1) * (seed % 2)))
    assert not folded_cells(phi).any()
    patch = (2, 3, 5)[seed % 5 % 3]
    labels = np.kron(rng.integers(0, 3, (20, 20)), np.ones((patch, patch), int))[:h, :w].astype(np.uint8)
    labels = np.pad(labels, ((0, h - labels.shape[0]), (0, w - labels.shape[1])), mode="edge")
    whole = mesh(phi, size)
    assert whole.order is None
    one_by_one = whole._replace(order=np.arange(len(whole.corners)))
    np.testing.assert_array_equal(draw_label_map(labels, whole), draw_label_map(labels, one_by_one))


def test_rounding_does_not_choose_among_equal_diagonals() -> None:
    u = uniform(128, 97)
    np.testing.assert_array_equal(split(u), split(u.astype(np.float32)))
    tensor = resize(uniform(8, 8).astype(np.float32), 128)
    np.testing.assert_array_equal(split(tensor), split(uniform(128, 128)))


def folded() -> Array:
    """4 x 4 points whose two middle columns have changed places halfway down."""
    phi = uniform(4, 4)
    phi[1, 1, 1], phi[1, 1, 2] = 0.8, 0.2
    phi[1, 2, 1], phi[1, 2, 2] = 0.8, 0.2
    assert folded_cells(phi).any()
    return phi


def test_reversed_triangles_are_not_shown() -> None:
    phi = folded()
    vertices, _ = locate(phi, 31)
    points = phi.reshape(2, -1)
    ya, yb, yc = points[0][vertices]
    xa, xb, xc = points[1][vertices]
    assert ((xb - xa) * (yc - ya) - (yb - ya) * (xc - xa) > -1e-12).all()
    # Halfway down, the middle column of cells runs backwards from 0.8 to 0.2, over the other two.
    assert not np.isin([5, 6], vertices[:, 15, 15]).all()


def test_smaller_of_two_triangles_wins() -> None:
    phi = uniform(4, 4)
    phi[1, 1:3, 1], phi[1, 1:3, 2] = 0.9, 0.8
    vertices, _ = locate(phi, 101)
    # At 0.85 of the middle row the first column of cells (0 to 0.9) lies over the last one (0.8 to 1).
    assert (vertices[:, 50, 85] % 4 >= 2).all()
    assert (vertices[:, 50, 50] % 4 <= 1).all()


def test_collapsed_cells_are_harmless() -> None:
    phi = uniform(5, 5)
    phi[:, 1:4, 1:4] = 0.5
    y, x = pixels((21, 21))
    got = interpolate(np.stack([phi[0], phi[1]]), phi, 21)
    np.testing.assert_allclose(got, np.stack([y, x]), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
@example(265273672)  # two vertices of the lower side lie 1e-300 apart
def test_labels_are_the_arg_max_where_values_lie_within_rounding_of_the_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    (h, w), size = rng.integers(2, 7, 2), (int(rng.integers(2, 40)), int(rng.integers(2, 40)))
    phi = rng.random((2, h, w)) if seed % 2 else uniform(int(h), int(w))
    near = rng.random(phi.shape) < 0.4
    places = np.array([0, 1e-12, 1e-13, 1e-16, 1e-300, 1 - 1e-12, 1 - 1e-13, 1 - 1e-16, 1, 0.5])
    phi[near] = rng.choice(places, near.sum())
    phi, scores = project(phi), rng.normal(size=(int(rng.integers(2, 6)), h, w))
    shown = interpolate(scores, phi, size)
    labels = interpolate_labels(scores, phi, size)
    chosen = np.take_along_axis(shown, labels[None].astype(np.intp), 0)[0]
    np.testing.assert_allclose(chosen, shown.max(axis=0), atol=1e-9)


def test_label_map_matches_one_hot_scores() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (9, 9), np.uint8)
    phi = wobbled(rng, 9, 9, 0.6)
    one_hot = (labels == np.arange(5)[:, None, None]).astype(np.float64)
    np.testing.assert_array_equal(
        interpolate_label_map(labels, phi, 50), interpolate_labels(one_hot, phi, 50)
    )


def test_void_samples_have_no_say_unless_alone() -> None:
    labels = np.full((4, 4), 255, np.uint8)
    assert (interpolate_label_map(labels, uniform(4, 4), 10) == 255).all()
    labels[0, 0] = 7
    out = interpolate_label_map(labels, uniform(4, 4), 10)
    # Both triangles of the first cell have the corner that knows, and no other cell has.
    assert (out[:3, :3] == 7).all()
    assert (out[4:] == 255).all()
    assert (out[:, 4:] == 255).all()


def test_memory_layout_and_other_dtypes_do_not_matter() -> None:
    rng = np.random.default_rng(2)
    scores = rng.normal(size=(9, 6, 3)).astype(np.float32).transpose(2, 0, 1)
    phi = wobbled(rng, 9, 6, 0.2)
    want = interpolate(np.ascontiguousarray(scores), phi, 20)
    np.testing.assert_array_equal(interpolate(scores, phi, 20), want)
    half = interpolate(scores.astype(np.float16), phi, 20)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, want, atol=1e-2)
    np.testing.assert_allclose(interpolate(scores, phi.astype(np.float32), 20), want, atol=1e-4)


def test_threads_do_not_disturb_each_other() -> None:
    rng = np.random.default_rng(4)
    jobs = [(rng.normal(size=(6, 16, 16)), wobbled(rng, 16, 16, 0.5), 150) for _ in range(16)]
    alone = [interpolate_labels(*job) for job in jobs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda job: interpolate_labels(*job), jobs))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [interpolate, interpolate_labels])
def test_refuses_scores_that_are_not_finite(function, bad) -> None:  # type: ignore[no-untyped-def]
    scores = np.zeros((2, 3, 3))
    scores[1, 2, 0] = bad
    with pytest.raises(
        ValueError, match=r"scores of shape \(2, 3, 3\) have entries that are NaN or infinite"
    ):
        function(scores, uniform(3, 3), 5)


def test_refuses_shapes_that_do_not_match() -> None:
    with pytest.raises(
        ValueError,
        match=r"scores have shape \(2, 3, 4\), the sampling tensor \(2, 3, 3\): h and w must agree",
    ):
        interpolate(np.zeros((2, 3, 4)), uniform(3, 3), 5)
    with pytest.raises(ValueError, match=r"labels have shape \(3, 4\), the sampling tensor \(2, 3, 3\)"):
        interpolate_label_map(np.zeros((3, 4), np.uint8), uniform(3, 3), 5)
    with pytest.raises(ValueError, match=r"scores have shape \(3, 3\), must be \(C, h, w\)"):
        interpolate(np.zeros((3, 3)), uniform(3, 3), 5)
    with pytest.raises(ValueError, match=r"labels have shape \(3, 3\) and dtype int64, must be"):
        interpolate_label_map(np.zeros((3, 3), np.int64), uniform(3, 3), 5)  # type: ignore[arg-type]


def test_refuses_crops_and_grids_below_two_points() -> None:
    with pytest.raises(ValueError, match="crop is 1 x 5 pixels, must be at least 2 x 2"):
        interpolate(np.zeros((2, 3, 3)), uniform(3, 3), (1, 5))
    with pytest.raises(ValueError, match=r"shape \(2, 1, 3\), must be"):
        interpolate(np.zeros((2, 1, 3)), np.zeros((2, 1, 3)), 5)


def test_refuses_tensors_that_do_not_cover_the_crop() -> None:
    phi = uniform(3, 3)
    phi[0, 0, 1] = 0.01
    with pytest.raises(
        ValueError, match="breaks the covering constraints: component 0 must be 0 on the first"
    ):
        interpolate_labels(np.zeros((2, 3, 3)), phi, 5)


def test_refuses_more_classes_than_labels() -> None:
    with pytest.raises(ValueError, match=r"scores of shape \(256, 2, 2\) have 256 classes, must be 1 to 255"):
        interpolate_labels(np.zeros((256, 2, 2)), uniform(2, 2), 5)
