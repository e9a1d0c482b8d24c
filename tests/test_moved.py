"""Modules under their older names."""

from __future__ import annotations

import importlib
import sys

import pytest

from pipeline import moved


@pytest.mark.parametrize("old", sorted(moved.MOVED))
def test_an_older_name_is_the_same_module(old: str) -> None:
    if "train" in old:
        pytest.importorskip("torch")
    newer = importlib.import_module(moved.MOVED[old])
    spec = newer.__spec__
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {moved.MOVED[old]}"):
        assert importlib.import_module(old) is newer
    assert newer.__spec__ is spec
    assert newer.__name__ == moved.MOVED[old]


def test_what_lies_in_a_folder_that_moved_is_found() -> None:
    pytest.importorskip("torch")
    with pytest.warns(DeprecationWarning, match="pipeline.networks.unet"):
        found = importlib.import_module("pipeline.train.networks.unet")
    assert found is importlib.import_module("pipeline.networks.unet")


def test_other_names_are_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such"):
        importlib.import_module("pipeline.no_such")
