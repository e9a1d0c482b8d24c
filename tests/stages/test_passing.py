"""Faults that pass are tried again; what brought an error about is found in any chain of causes."""

from __future__ import annotations

import errno

import pytest

from pipeline import passing
from pipeline.errors import AdaprepError, FileError


def test_causes_that_lead_back_into_themselves_end() -> None:
    first, second = FileError("a.png: broken"), FileError("b.png: broken")
    first.__cause__, second.__cause__ = second, first
    assert not passing.is_passing(first)
    own = AdaprepError("of itself")
    own.__cause__ = own
    assert passing.of_system(own) is None


def test_a_fault_that_passes_is_tried_again_and_another_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "PAUSES", (0.0, 0.0))
    calls: list[int] = []

    def work(number: int, fails: int) -> str:
        calls.append(number)
        if len(calls) <= fails:
            raise AdaprepError("cannot be read") from OSError(number, "said the disk")
        return "done"

    assert passing.tried(lambda: work(errno.EIO, 2)) == "done"
    assert len(calls) == 3
    calls.clear()
    with pytest.raises(AdaprepError):
        passing.tried(lambda: work(errno.ENOENT, 1))
    assert len(calls) == 1
