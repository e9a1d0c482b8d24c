from __future__ import annotations

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.crops import offsets, side

lengths = st.integers(2, 5000)


def test_apolloscape_crops() -> None:
    assert side(2710, 3384) == 2710
    assert offsets(2710, 3384, 1) == [(0, 337)]
    assert offsets(2710, 3384, 5) == [(0, 0), (0, 169), (0, 337), (0, 506), (0, 674)]


def test_portrait_crops_slide_down() -> None:
    assert offsets(10, 4, 3) == [(0, 0), (3, 0), (6, 0)]


def test_halves_round_up() -> None:
    assert offsets(4, 5, 3) == [(0, 0), (0, 1), (0, 1)]


def test_square_image_has_one_place_for_all_crops() -> None:
    assert offsets(7, 7, 3) == [(0, 0)] * 3


@given(lengths, lengths, st.integers(2, 9))
def test_crops_are_evenly_spaced_from_edge_to_edge(height: int, width: int, count: int) -> None:
    corners = offsets(height, width, count)
    slack = max(height, width) - min(height, width)
    starts = [top + left for top, left in corners]
    assert starts[0] == 0
    assert starts[-1] == slack
    assert starts == [floor(Fraction(k * slack, count - 1) + Fraction(1, 2)) for k in range(count)]
    assert all((top if width >= height else left) == 0 for top, left in corners)


@given(lengths, lengths)
def test_single_crop_is_central(height: int, width: int) -> None:
    ((top, left),) = offsets(height, width, 1)
    size = side(height, width)
    for start, length in ((top, height), (left, width)):
        assert 0 <= length - size - 2 * start <= 1


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (0, 0)])
def test_too_small_an_image_is_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"image of shape \(\d, \d\) is too small for a crop"):
        offsets(*shape, 1)


def test_no_crops_are_refused() -> None:
    with pytest.raises(ValueError, match="number of crops is 0, must be at least 1"):
        offsets(4, 4, 0)
