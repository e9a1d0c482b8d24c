"""`adaprep status`: what a workspace holds, with which parameters, how complete."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import AdaprepError
from pipeline.units import several
from pipeline.workspace import records, room, stores


@dataclass(frozen=True)
class StoreStatus:
    """One store."""

    dataset: str
    split: str
    stage: str
    name: str
    parameters: dict[str, Any]
    images: int
    done: int
    failed: int
    bytes: int  # of the disk, that are taken
    changed: float  # seconds since the epoch
    next_step: str = ""
    damaged: bool = False  # next_step says how

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def of_store(folder: stores.SplitFolder, path: Path, stage: str) -> StoreStatus:
    """Look at one store. Raises AdaprepError when it is damaged or of a newer version."""
    store = stores.open_store(path, mode="r")
    status = store.status()
    done, failed = int((status == stores.DONE).sum()), int((status == stores.FAILED).sum())
    todo = len(status) - done - failed
    return StoreStatus(
        folder.dataset,
        folder.split,
        stage,
        path.stem,
        store.parameters,
        len(status),
        done,
        failed,
        room.used(path).on_disk,
        room.used(path / "status").newest or time.time(),
        f"run adaprep {stage} again: {several(todo, 'image')} to do" if todo else "",
    )


def run(workspace: stores.Workspace, dataset: str | None = None) -> list[StoreStatus]:
    """Look at every store of the workspace, or of one data set in it; a damaged one is a row that says so."""
    found = []
    for split in workspace.splits():
        if dataset not in (None, split.dataset):
            continue
        paths = [(split.boundaries, "boundaries")] if split.boundaries.exists() else []
        paths += [(path, "solve-tensors") for path in split.tensor_stores()]
        paths += [(path, "sample") for path in split.sample_stores()]
        for path, stage in paths:
            try:
                found.append(of_store(split, path, stage))
            except AdaprepError as error:
                found.append(_unreadable(split, path, stage, str(error)))
    return found


def _unreadable(folder: stores.SplitFolder, path: Path, stage: str, problem: str) -> StoreStatus:
    size = room.used(path).on_disk if path.is_dir() else path.stat().st_size
    title = (folder.dataset, folder.split, stage, path.stem)
    return StoreStatus(*title, {}, 0, 0, 0, size, path.stat().st_mtime, problem, damaged=True)


def failures(workspace: stores.Workspace, dataset: str | None = None) -> list[dict[str, Any]]:
    """What failed in the last run of each stage: split, stage, index, name, reason."""
    rows: list[dict[str, Any]] = []
    for folder, path in workspace.failure_lists():
        if dataset not in (None, folder.dataset):
            continue
        about = {"split": folder.title, "stage": folder.stage_of(path)}
        try:
            rows += [{**about, **f} for f in records.read(path, records.FAILURES)["failures"]]
        except AdaprepError as error:
            reason = f"{error} Or run: {folder.verify_command}"
            rows.append({**about, "index": None, "name": path.name, "reason": reason})
    return rows
