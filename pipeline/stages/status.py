"""`adaprep status`: what a workspace holds, with which parameters, how complete."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline import disk, records, stores
from pipeline.errors import AdaprepError


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
    bytes: int
    changed: float  # seconds since the epoch
    next_step: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def of_store(folder: stores.SplitFolder, path: Path, stage: str) -> StoreStatus:
    """Look at one store. Raises AdaprepError when it is damaged or of a newer version."""
    store = stores.open_store(path, mode="r")
    status = store.status()
    done, failed = int((status == stores.DONE).sum()), int((status == stores.FAILED).sum())
    marks = [p.stat().st_mtime for p in (path / "status").rglob("*") if p.is_file()]
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
        disk.bytes_below(path),
        max(marks, default=time.time()),
        f"run adaprep {stage} again: {todo} images to do" if todo else "",
    )


def run(workspace: stores.Workspace, dataset: str | None = None) -> list[StoreStatus]:
    """Look at every store of the workspace, or of one data set in it."""
    found = []
    for folder in sorted(workspace.path.glob("*/*/dataset.json")):
        split = stores.SplitFolder(folder.parent)
        if dataset not in (None, split.dataset):
            continue
        if split.boundaries.exists():
            found.append(of_store(split, split.boundaries, "boundaries"))
        found += [of_store(split, path, "solve-tensors") for path in split.tensor_stores()]
        found += [of_store(split, path, "sample") for path in sorted(split.samples.glob("*.zarr"))]
    return found


def failures(workspace: stores.Workspace, dataset: str | None = None) -> list[dict[str, Any]]:
    """What failed in the last run of each stage: split, stage, index, name, reason."""
    rows: list[dict[str, Any]] = []
    for path in sorted(workspace.path.glob("*/*/failures-*.json")):
        folder = stores.SplitFolder(path.parent)
        if dataset in (None, folder.dataset):
            stage = path.stem.removeprefix("failures-")
            try:
                listed = records.read(path, records.FAILURES)["failures"]
            except AdaprepError as error:
                listed = [{"index": None, "name": path.name, "reason": str(error)}]
            rows += [{"split": folder.title, "stage": stage, **f} for f in listed]
    return rows
