"""Runs a stage: independent blocks as one Dask graph, on threads, local processes or a cluster.

One image that goes wrong is that image's failure; one block that goes wrong leaves the others alone; what
every block would meet too, such as a full disk, ends the run. However a run ends, no task of it is at work
any more when `run` returns.
"""

from __future__ import annotations

import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pipeline import advice
from pipeline.errors import AdaprepError
from pipeline.progress import Listener as Listener
from pipeline.progress import Silent as Silent
from pipeline.stages import fitness
from pipeline.stages.fitness import Site as Site
from pipeline.stages.scheduler import LISTED
from pipeline.stages.scheduler import Scheduler as Scheduler
from pipeline.stages.scheduler import cores as cores
from pipeline.stages.work import BlockResult as BlockResult
from pipeline.stages.work import Failure as Failure
from pipeline.stages.work import Lost as Lost
from pipeline.stages.work import Stopped as Stopped
from pipeline.stages.work import Task as Task
from pipeline.stages.work import Work as Work
from pipeline.stages.work import at_work as at_work
from pipeline.stages.work import check_stop as check_stop
from pipeline.stages.work import failed as failed
from pipeline.stages.work import forget as forget
from pipeline.stages.work import one_image as one_image
from pipeline.stages.work import stop as stop
from pipeline.stages.work import surprise as surprise
from pipeline.stages.work import try_image as try_image
from pipeline.units import several

GIVE_WAY = 0.0005
"""Seconds for which one thread holds Python while another waits for it: compiled loops come back to it often,
and with Python's own 0.005 two threads are a tenth slower."""

NAMED = 8
"""A block of at most so many images is described by all their names."""


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


@contextmanager
def connected(scheduler: Scheduler) -> Iterator[Scheduler]:
    """Yield the scheduler with one connection, or one set of local processes, for all that runs on it.

    It is opened when it is first needed. Raises AdaprepError where it cannot be.
    """
    if not scheduler.distributed or scheduler.session:
        yield scheduler
        return
    from pipeline.stages import connection

    with connection.Session(scheduler) as session:
        yield replace(scheduler, session=session)


def check(scheduler: Scheduler, site: Site) -> None:
    """Before anything is written: ask every worker of a cluster whether it can do the work.

    Raises
    ------
    AdaprepError
        Names each worker that has another adaprep or Python, or does not see data or workspace; or no worker
        can be reached.
    """
    if scheduler.address:
        with connected(scheduler) as reached:
            reached.session.cluster().check(site)


def run(
    tasks: Sequence[Task],
    scheduler: Scheduler,
    title: str,
    listener: Listener | None = None,
    total: int = 0,
    on_block: Callable[[BlockResult], None] | None = None,
    site: Site | None = None,
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
    site
        What the tasks read and write, for those on other machines.

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
    about = (scheduler.distributed, site, fitness.versions() if scheduler.address else None)
    work = [Work(name, index, task, *about) for index, task in enumerate(tasks)]
    try:
        if scheduler.distributed and work:
            from pipeline.stages import cluster

            with connected(scheduler) as reached:
                cluster.run(name, work, reached.session.cluster(), take)
        elif work:
            _threads(name, work, scheduler, take)
    finally:
        forget(name)
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
    with _giving_way(), ThreadPoolExecutor(scheduler.parallel) as pool, Callback(posttask=posttask):
        try:
            get(graph, [node.key for node in nodes], pool=pool)
        except BaseException as error:
            stop(name)
            if isinstance(error, RuntimeError) and "start new thread" in str(error):
                raise AdaprepError(
                    f"cannot start {scheduler.parallel} threads here: give a smaller number with --threads"
                ) from error
            raise


@contextmanager
def _giving_way() -> Iterator[None]:
    """Have threads wait for each other for no longer than `GIVE_WAY`."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, GIVE_WAY))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _incomplete(title: str, tasks: Sequence[Task], lost: Sequence[Lost], failures: int) -> AdaprepError:
    """The sentences for blocks that were lost; whatever could be done has been."""
    lines = [f"  {_images(tasks, one.index)}: {one.reason}" for one in sorted(lost, key=lambda x: x.index)]
    if len(lines) > LISTED:
        lines = [*lines[:LISTED], f"  ... and {len(lines) - LISTED} more"]
    listing = advice.command("status", failures=True)
    besides = f" {several(failures, 'file')} failed besides: see {listing}." if failures else ""
    return AdaprepError(
        f"{title}: {len(lost)} of {len(tasks)} blocks could not be done:\n" + "\n".join(lines) + "\n"
        f"All other blocks were done and are kept.{besides} Run the same command again: it tries these again."
    )


def _images(tasks: Sequence[Task], index: int) -> str:
    task = tasks[index]
    return task.images if isinstance(task, Block) else f"block {index}"
