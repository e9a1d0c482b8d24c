"""The list of failures while a stage runs: there at once, and not written more often than it is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import AdaprepError
from pipeline.stages import failures
from pipeline.stages.engine import Failure
from pipeline.stages.failures import FailureList
from pipeline.workspace import disk
from pipeline.workspace.stores import SplitFolder


def names(folder: SplitFolder) -> list[str]:
    return [row["name"] for row in disk.read_json(folder.failures("boundaries"))["failures"]]


def failure(index: int) -> Failure:
    return Failure(index, f"{index}", "no such file")


def test_the_first_failure_is_told_at_once_and_all_are_at_the_end(tmp_path: Path) -> None:
    folder = SplitFolder(tmp_path / "d" / "train")
    with FailureList(folder, "boundaries") as failed:
        assert names(folder) == []
        failed.pace.cost = 0.0
        failed.add([failure(3), failure(1)])
        assert names(folder) == ["1", "3"]
        failed.pace.cost = 1000.0  # as if writing had taken long
        failed.add([failure(0)])
        assert names(folder) == ["1", "3"]
    assert names(folder) == ["0", "1", "3"]


def test_what_is_written_grows_with_the_failures_not_with_their_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, rows = [0.0], []

    def save(folder: SplitFolder, stage: str, found: list[Failure]) -> None:
        rows.append(len(found))
        clock[0] += 1e-5 * len(found)  # seconds

    monkeypatch.setattr(failures, "save_failures", save)
    monkeypatch.setattr(failures.time, "monotonic", lambda: clock[0])
    with FailureList(SplitFolder(tmp_path), "boundaries") as failed:
        for block in range(1563):
            clock[0] += 0.05
            failed.add([failure(64 * block + i) for i in range(64)])
    assert rows[-1] == 64 * 1563
    assert sum(rows) < 15 * rows[-1]


def test_a_disk_that_refuses_the_list_does_not_hide_what_went_wrong_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AdaprepError("the disk is full")

    def stumble() -> None:
        with FailureList(SplitFolder(tmp_path / "d" / "train"), "boundaries") as failed:
            failed.pace.cost = 1000.0
            failed.add([failure(0)])
            monkeypatch.setattr(failures, "save_failures", refuse)
            raise KeyError("first")

    with pytest.raises(KeyError, match="first"):
        stumble()
