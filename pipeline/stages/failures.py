"""The list of files that a stage could not use, kept beside its store while the stage runs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress

from pipeline.errors import AdaprepError
from pipeline.stages.engine import Failure
from pipeline.workspace import disk, stores

SHARE = 20
"""Writing is put off until it takes less than one part in so many of the time since it was last done."""


class Paced:
    """Says when something is due that is done again and again, and takes longer each time."""

    def __init__(self, least: float = 0.0) -> None:
        self.least, self.cost, self.ended = least, 0.0, time.monotonic()

    def is_due(self) -> bool:
        return time.monotonic() - self.ended >= max(self.least, SHARE * self.cost)

    @contextmanager
    def measured(self) -> Iterator[None]:
        """What is done again."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.ended = time.monotonic()
            self.cost = self.ended - begun


class FailureList:
    """What has failed so far in a run; `adaprep status` reads it meanwhile.

    The list is written whole each time, so not for every block: with many failures that would take more time
    than the blocks themselves.
    """

    def __init__(self, folder: stores.SplitFolder, stage: str) -> None:
        self.folder, self.stage = folder, stage
        self.failures: list[Failure] = []
        self.pace = Paced()
        self.written = -1

    def __enter__(self) -> FailureList:
        self.save()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with suppress(AdaprepError) if kind else nullcontext():  # what went wrong first is told
            self.save()

    def add(self, failures: Iterable[Failure]) -> None:
        """Take those of a block. Raises AdaprepError where the disk refuses the list."""
        self.failures.extend(failures)
        if self.pace.is_due():
            self.save()

    def save(self) -> None:
        """Write the list as it is, unless it is written already."""
        if self.written != len(self.failures):
            with self.pace.measured():
                save_failures(self.folder, self.stage, self.failures)
            self.written = len(self.failures)


def save_failures(folder: stores.SplitFolder, stage: str, failures: Sequence[Failure]) -> None:
    """Keep the reasons beside the store, for `adaprep status`."""
    rows = [
        {"index": f.index, "name": f.name, "reason": f.reason}
        for f in sorted(failures, key=lambda f: f.index)
    ]
    disk.write_json(folder.failures(stage), {"failures": rows})
