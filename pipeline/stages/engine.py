"""Runs a stage: independent blocks as one Dask graph, on threads, local processes or a cluster."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pipeline.errors import AdaprepError

STOP = threading.Event()
"""Set when the run is to end early; tasks in this process look at it between images."""


class Stopped(Exception):
    """A task noticed STOP and gave up its block unwritten."""


@dataclass(frozen=True)
class Failure:
    """One input that could not be used."""

    index: int
    name: str
    reason: str


@dataclass(frozen=True)
class BlockResult:
    """What a task tells the run about its block."""

    start: int
    stop: int
    failures: tuple[Failure, ...] = ()
    value: Any = None  # what the stage's own summary needs

    @property
    def count(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Scheduler:
    """Where tasks run: threads of this process unless `workers` or `address` is given."""

    workers: int | None = None  # that many local processes
    address: str | None = None  # of a running Dask scheduler
    threads: int | None = None  # of this process; default: one a core

    @property
    def parallel(self) -> int:
        """How many tasks this machine works on at once."""
        return self.workers or self.threads or cores()

    def describe(self) -> str:
        if self.address:
            return f"Dask cluster at {self.address}"
        return f"{self.workers} processes" if self.workers else f"{self.parallel} threads"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Listener(Protocol):
    """Hears how a run goes on: a progress line, a log, a test."""

    def started(self, title: str, total: int) -> None: ...
    def advanced(self, images: int, failures: int) -> None: ...
    def finished(self) -> None: ...


class Silent:
    """A listener that says nothing."""

    def started(self, title: str, total: int) -> None: ...
    def advanced(self, images: int, failures: int) -> None: ...
    def finished(self) -> None: ...


@dataclass
class Summary:
    """How a run ended."""

    title: str
    images: int = 0
    failures: list[Failure] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    seconds: float = 0.0
    skipped: int = 0  # done by an earlier run
    notes: list[str] = field(default_factory=list)
    incomplete: bool = False  # something had to be left, as a note says

    @property
    def ok(self) -> bool:
        return not self.failures and not self.incomplete


Task = Callable[[], BlockResult]


def run(
    tasks: Sequence[Task],
    scheduler: Scheduler,
    title: str,
    listener: Listener | None = None,
    total: int = 0,
    on_block: Callable[[BlockResult], None] | None = None,
) -> Summary:
    """Run every task and gather what they report, in block order.

    Parameters
    ----------
    tasks
        Picklable, independent of each other and of where they run.
    total
        Images in all tasks together, for the progress line.
    on_block
        Called in this thread as each block is finished.

    Raises
    ------
    AdaprepError
        A task could not go on (a full disk), or the cluster cannot be reached.
    KeyboardInterrupt
        Passed on after the tasks in flight were told to stop.
    """
    listener = listener or Silent()
    summary = Summary(title)
    results: list[BlockResult] = []
    begun = time.perf_counter()
    listener.started(title, total)

    def take(result: BlockResult) -> None:
        results.append(result)
        if on_block:
            on_block(result)
        listener.advanced(result.count, len(result.failures))

    STOP.clear()
    try:
        if tasks:
            _distributed(tasks, scheduler, take) if _needs_cluster(scheduler) else _threads(
                tasks, scheduler, take
            )
    except BaseException:
        STOP.set()  # for the tasks in flight
        raise
    finally:
        listener.finished()
    results.sort(key=lambda r: r.start)
    summary.images = sum(r.count for r in results)
    summary.failures = [f for r in results for f in r.failures]
    summary.values = [r.value for r in results]
    summary.seconds = time.perf_counter() - begun
    return summary


def _needs_cluster(scheduler: Scheduler) -> bool:
    return bool(scheduler.workers or scheduler.address)


def _threads(tasks: Sequence[Task], scheduler: Scheduler, take: Callable[[BlockResult], None]) -> None:
    from dask.callbacks import Callback
    from dask.delayed import delayed
    from dask.threaded import get

    def posttask(key: Any, value: Any, dsk: Any, state: Any, worker: Any) -> None:
        if isinstance(value, BlockResult):
            take(value)

    nodes = [delayed(task, pure=False)(dask_key_name=f"block-{i}") for i, task in enumerate(tasks)]
    graph = {key: value for node in nodes for key, value in dict(node.__dask_graph__()).items()}
    with Callback(posttask=posttask):
        get(graph, [node.key for node in nodes], num_workers=scheduler.parallel)


def _distributed(tasks: Sequence[Task], scheduler: Scheduler, take: Callable[[BlockResult], None]) -> None:
    from dask.delayed import delayed
    from distributed import as_completed

    with _client(scheduler) as client:
        futures = client.compute([delayed(task, pure=False)() for task in tasks])
        try:
            for future in as_completed(futures):
                take(future.result())
        except BaseException:
            client.cancel(futures)
            raise


@contextmanager
def _client(scheduler: Scheduler) -> Iterator[Any]:
    import logging

    from distributed import Client, LocalCluster

    if scheduler.address:
        try:
            client = Client(scheduler.address, timeout="5s")
        except (OSError, TimeoutError, ValueError) as error:
            raise AdaprepError(
                f"no Dask scheduler answers at {scheduler.address} ({error}). "
                f"Start one with: dask scheduler   and workers with: dask worker {scheduler.address}"
            ) from error
        with client:
            yield client
        return
    with _quiet_children():
        local = LocalCluster(
            n_workers=scheduler.workers,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
        )
    with local, Client(local) as client:
        yield client


@contextmanager
def _quiet_children() -> Iterator[None]:
    """Processes started here ignore Ctrl-C, which a terminal sends them too, and keep their logs quiet.

    This process tells them when to end, and says what there is to say.
    """
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "critical")
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def check_stop() -> None:
    """Called by tasks between images. Raises Stopped once the run is to end."""
    if STOP.is_set():
        raise Stopped
