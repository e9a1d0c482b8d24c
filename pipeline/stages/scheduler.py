"""Where the tasks of a stage run, as the user asked for it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LISTED = 5
"""At most so many lost blocks, or unfit workers, are named in a message."""


@dataclass(frozen=True)
class Scheduler:
    """Where tasks run: threads of this process unless `workers` or `address` is given."""

    workers: int | None = None  # that many local processes; the most of them with `least`
    address: str | None = None  # of a running Dask scheduler
    threads: int | None = None  # of this process; default: one a core
    least: int | None = None  # local processes that are kept where there is little to do
    wait: float = 30.0  # seconds for the first worker to come, or another once all are lost
    report: Path | None = None  # file for Dask's performance report
    session: Any = field(default=None, compare=False, repr=False)  # the open connection to the workers

    @property
    def distributed(self) -> bool:
        """Whether tasks run in other processes than this one."""
        return bool(self.workers or self.address)

    @property
    def parallel(self) -> int:
        """How many tasks this machine works on at once."""
        return self.workers or self.threads or cores()

    def describe(self) -> str:
        if self.address:
            return f"Dask cluster at {self.address}"
        few = f"{self.least} to " if self.least else ""
        return f"{few}{self.workers} processes" if self.workers else f"{self.parallel} threads"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
