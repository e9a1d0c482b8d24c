import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.geometry.sampling import indices, sample
from pipeline.geometry.tensors import flip, uniform

# Multiples of 2^-20: 1 - x is exact.
exact = st.integers(0, 1 << 20).map(lambda k: k / (1 << 20))
tensors = st.tuples(st.integers(2, 6), st.integers(2, 6)).flatmap(
    lambda shape: hnp.arrays(np.float64, (2, *shape), elements=exact)
)


@settings(max_examples=200)
@given(tensors, st.integers(1, 3000), st.integers(1, 3000))
def test_takes_the_nearest_pixel(phi: np.ndarray, height: int, width: int) -> None:
    rows, cols = indices(phi, (height, width))
    assert rows.min() >= 0
    assert rows.max() < height
    assert cols.min() >= 0
    assert cols.max() < width
    assert np.abs(rows - phi[0] * (height - 1)).max() <= 0.5
    assert np.abs(cols - phi[1] * (width - 1)).max() <= 0.5


@settings(max_examples=200)
@given(tensors, st.integers(1, 400))
def test_commutes_with_flipping_but_for_the_middle_of_an_even_side(phi: np.ndarray, width: int) -> None:
    if width % 2 == 0:
        phi[1][phi[1] == 0.5] = 0
    image = np.arange(7 * width).reshape(7, width)
    np.testing.assert_array_equal(sample(image[:, ::-1], flip(phi)), sample(image, phi)[:, ::-1])


def test_halves_go_towards_the_middle_and_the_very_middle_to_the_second_pixel() -> None:
    # Four pixels at 0, 1/3, 2/3, 1: halves at 1/6, 3/6 and 5/6; five pixels: at 1/8, 3/8, 5/8, 7/8.
    halves = np.array([[1, 3, 5, 7], [1, 3, 5, 7]]) / 8
    rows, _ = indices(np.stack([halves, halves]), 5)
    assert rows[0].tolist() == [1, 2, 2, 3]
    middle = np.full((2, 2, 2), 0.5)
    assert indices(middle, 4)[0].tolist() == [[2, 2], [2, 2]]


def test_uniform_tensor_of_the_crops_own_size_is_the_identity() -> None:
    image = np.random.default_rng(0).integers(0, 255, (37, 23, 3), np.uint8)
    np.testing.assert_array_equal(sample(image, uniform(37, 23)), image)


def test_single_precision_tensors_reach_the_last_pixel() -> None:
    phi = uniform(9, 9).astype(np.float32)
    rows, cols = indices(phi, (2710, 3384))
    assert (rows[-1] == 2709).all()
    assert (cols[:, -1] == 3383).all()


@pytest.mark.parametrize("value", [np.nan, -0.001, 1.001, np.inf])
def test_refuses_coordinates_outside_the_crop(value: float) -> None:
    phi = uniform(3, 3)
    phi[0, 1, 1] = value
    with pytest.raises(ValueError, match=r"shape \(2, 3, 3\) has values that are NaN or outside \[0, 1\]"):
        indices(phi, 10)


def test_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"sampling tensor has shape \(5, 2, 3, 3\), must be \(2, h, w\)"):
        indices(np.zeros((5, 2, 3, 3)), 10)
    with pytest.raises(ValueError, match=r"image has shape \(4,\), must be \(H, W\) or \(H, W, channels\)"):
        sample(np.zeros(4), uniform(2, 2))
    with pytest.raises(ValueError, match="size is 0 x 3, must be at least 1 x 1"):
        indices(uniform(2, 2), (0, 3))
