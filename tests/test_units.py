"""Numbers as people read them."""

from __future__ import annotations

import pytest

from pipeline import units


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 cells"), (1, "1 cell"), (2, "2 cells"), (1234, "1,234 cells")]
)
def test_one_is_singular(count: int, said: str) -> None:
    assert units.several(count, "cell") == said
