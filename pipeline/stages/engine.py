"""Runs a stage: independent blocks as one Dask graph, on threads, local processes or a cluster.

One image that goes wrong is that image's failure; one block that goes wrong leaves the others alone; what
every block would meet too, such as a full disk, ends the run. However a run ends, no task of it is at work
any more when `run` returns.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline import advice
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.progress import Listener as Listener
from pipeline.progress import Silent as Silent
from pipeline.storage import reading

LISTED = 5
"""At most so many lost blocks are named in a message."""

NAMED = 8
"""A block of at most so many images is described by all their names."""


LONGEST = 500
"""Characters of a foreign exception's own words in a message."""


class Stopped(Exception):
    """A task noticed that its run is to end, and gave up its block unwritten."""


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
        return f"{self.workers} processes" if self.workers else f"{self.parallel} threads"


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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


@dataclass(frozen=True)
class Block:
    """A task that knows which images it works on, so that a message can name them."""

    task: Task
    images: str  # as from `listed`

    def __call__(self) -> BlockResult:
        return self.task()


def listed(names: Sequence[str]) -> str:
    """The images of a block in words: all names if they are few, else the first and the last."""
    if len(names) <= NAMED:
        return f"image{'s' if len(names) > 1 else ''} {', '.join(names)}"
    return f"{len(names)} images from {names[0]} to {names[-1]}"


@dataclass(frozen=True)
class Lost:
    """A block that could not be done, in place of its `BlockResult`."""

    index: int  # of the task
    reason: str


_stopped: set[str] = set()  # runs that are to end early, as far as this process knows
_at_work: Counter[str] = Counter()  # tasks of each run in this process
_counting = threading.Lock()
_here = threading.local()  # `run`: which run this thread works for


@dataclass(frozen=True)
class Work:
    """One task as it travels to where it is done: keeps count, and turns surprises into a `Lost`."""

    run: str
    index: int
    task: Task
    told: bool  # whether messages name the process

    def __call__(self) -> BlockResult | Lost:
        _here.run = self.run
        _count(self.run, 1)
        try:
            check_stop()
            return self.task()
        except FileError as error:
            return Lost(self.index, str(error))
        except (AdaprepError, Stopped):
            raise
        except Exception as error:
            place = f" (on {socket.gethostname()}, process {os.getpid()})" if self.told else ""
            return Lost(self.index, surprise(error) + place)
        finally:
            _count(self.run, -1)


def _count(run: str, change: int) -> None:
    with _counting:
        _at_work[run] += change
        if not _at_work[run]:
            del _at_work[run]


def at_work(run: str) -> int:
    """How many tasks of a run this process works on."""
    return _at_work[run]


def stop(run: str) -> None:
    """Tell the tasks of a run in this process to end at their next image."""
    _stopped.add(run)


def check_stop() -> None:
    """Called by tasks between images. Raises Stopped once the run is to end."""
    if getattr(_here, "run", None) in _stopped:
        raise Stopped


def surprise(error: BaseException) -> str:
    """An exception that nobody foresaw, in a line: what it says, and where in the code it was raised."""
    if isinstance(error, MemoryError):
        return "memory ran out. Give the process more, or let fewer tasks run at once (--threads, --workers)"
    where = traceback.extract_tb(error.__traceback__)[-1:]
    line = "".join(f", raised in {Path(frame.filename).name}, line {frame.lineno}" for frame in where)
    said = " ".join(printable(str(error)).split())
    return f"{type(error).__name__}: {said[:LONGEST]}{line}"


@contextmanager
def one_image(path: Path) -> Iterator[None]:
    """Whatever goes wrong with one image is that image's failure, foreseen or not.

    Raises
    ------
    FileError
        In place of MemoryError and of any exception that is not ours.
    """
    try:
        with reading():
            yield
    except (AdaprepError, Stopped):
        raise
    except Exception as error:
        raise FileError(f"{path}: {surprise(error)}") from error


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
        Picklable, independent of each other and of where they run; a `Block` is named in messages.
    total
        Images in all tasks together, for the progress line.
    on_block
        Called in this thread as each block is finished.

    Raises
    ------
    AdaprepError
        A task could not go on (a full disk), the cluster cannot be reached or went away, or blocks were
        lost (a killed worker): then all others were done first.
    KeyboardInterrupt
        Passed on once the tasks in flight have stopped.
    """
    listener = listener or Silent()
    summary = Summary(title)
    results: list[BlockResult] = []
    lost: list[Lost] = []
    begun = time.perf_counter()
    listener.started(title, total)

    def take(result: BlockResult | Lost) -> None:
        if isinstance(result, Lost):
            lost.append(result)
            return
        results.append(result)
        if on_block:
            on_block(result)
        listener.advanced(result.count, result.count, len(result.failures))

    name = uuid.uuid4().hex
    work = [Work(name, index, task, scheduler.distributed) for index, task in enumerate(tasks)]
    try:
        if scheduler.distributed and work:
            from pipeline.stages import cluster

            cluster.run(name, work, scheduler, take)
        elif work:
            _threads(name, work, scheduler, take)
    finally:
        _stopped.discard(name)
        listener.finished()
    if lost:
        raise _incomplete(title, tasks, lost, sum(len(r.failures) for r in results))
    results.sort(key=lambda r: r.start)
    summary.images = sum(r.count for r in results)
    summary.failures = [f for r in results for f in r.failures]
    summary.values = [r.value for r in results]
    summary.seconds = time.perf_counter() - begun
    return summary


def _threads(
    name: str, work: Sequence[Work], scheduler: Scheduler, take: Callable[[BlockResult | Lost], None]
) -> None:
    """Do all work on threads; however this ends, they are idle when it returns."""
    from concurrent.futures import ThreadPoolExecutor

    from dask.callbacks import Callback
    from dask.delayed import delayed
    from dask.threaded import get

    def posttask(key: Any, value: Any, dsk: Any, state: Any, worker: Any) -> None:
        if isinstance(value, BlockResult | Lost):
            take(value)

    nodes = [delayed(task, pure=False)(dask_key_name=f"block-{task.index}") for task in work]
    graph = {key: value for node in nodes for key, value in dict(node.__dask_graph__()).items()}
    with ThreadPoolExecutor(scheduler.parallel) as pool, Callback(posttask=posttask):
        try:
            get(graph, [node.key for node in nodes], pool=pool)
        except BaseException as error:
            stop(name)
            if isinstance(error, RuntimeError) and "start new thread" in str(error):
                raise AdaprepError(
                    f"cannot start {scheduler.parallel} threads here: give a smaller number with --threads"
                ) from error
            raise


def _incomplete(title: str, tasks: Sequence[Task], lost: Sequence[Lost], failures: int) -> AdaprepError:
    """The sentences for blocks that were lost; whatever could be done has been."""
    lines = [f"  {_images(tasks, one.index)}: {one.reason}" for one in sorted(lost, key=lambda x: x.index)]
    if len(lines) > LISTED:
        lines = [*lines[:LISTED], f"  ... and {len(lines) - LISTED} more"]
    listing = advice.command("status", failures=True)
    besides = f" {failures} files failed besides: see {listing}." if failures else ""
    return AdaprepError(
        f"{title}: {len(lost)} of {len(tasks)} blocks could not be done:\n" + "\n".join(lines) + "\n"
        f"All other blocks were done and are kept.{besides} Run the same command again: it tries these again."
    )


def _images(tasks: Sequence[Task], index: int) -> str:
    task = tasks[index]
    return task.images if isinstance(task, Block) else f"block {index}"
