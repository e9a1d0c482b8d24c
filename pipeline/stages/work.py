"""One task where it is done: it looks around first, is counted, and turns what goes wrong into a result."""

from __future__ import annotations

import os
import socket
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from pipeline import passing
from pipeline.errors import AdaprepError, FileError
from pipeline.names import printable
from pipeline.stages import fitness
from pipeline.stages.fitness import Site
from pipeline.storage import reading
from pipeline.workspace import task_locks

T = TypeVar("T")

LONGEST = 500
"""Characters of a foreign exception's own words in a message."""

LOOK = 1.0
"""Seconds between two looks of a task at whether its run goes on."""


class Stopped(Exception):
    """A task noticed that its run is to end, and gave up its block unwritten."""


@dataclass(frozen=True)
class Failure:
    """One input that could not be used."""

    index: int
    name: str
    reason: str
    unseen: bool = False  # the operating system did not give it: another machine may see it


def failed(index: int, name: str, error: FileError) -> Failure:
    """The failure of an image that raised this."""
    return Failure(index, name, str(error), passing.of_system(error) is not None)


@dataclass(frozen=True)
class BlockResult:
    """What a task tells the run about its block."""

    start: int
    stop: int
    failures: tuple[Failure, ...] = ()
    value: Any = None  # what the stage's own summary needs
    worker: str = ""  # address of the cluster's worker that did it

    @property
    def count(self) -> int:
        return self.stop - self.start

    @property
    def unseen(self) -> bool:
        """Whether not one of its files was to be had."""
        return 0 < self.count == len(self.failures) and all(f.unseen for f in self.failures)


Task = Callable[[], BlockResult]


@dataclass(frozen=True)
class Lost:
    """A block that could not be done, in place of its `BlockResult`."""

    index: int  # of the task
    reason: str


@dataclass(frozen=True)
class Unfit:
    """A block that was not begun: the worker has not what it takes."""

    index: int  # of the task
    reason: str  # ends a sentence that begins with the worker's name
    worker: str  # its address
    host: str


_stopped: set[str] = set()  # runs that are to end early, as far as this process knows
_at_work: Counter[str] = Counter()  # tasks of each run in this process
_counting = threading.Lock()
_here = threading.local()  # `run`: which run this thread works for; `goes_on`: tells whether it still does


@dataclass(frozen=True)
class Work:
    """One task as it travels to where it is done: keeps count, and turns surprises into a `Lost`."""

    run: str
    index: int
    task: Task
    told: bool  # whether messages name the process
    site: Site | None = None
    wanted: fitness.Versions | None = None  # of workers that this process did not start

    def __call__(self) -> BlockResult | Lost | Unfit:
        _here.run, _here.goes_on, _here.looked = self.run, None, time.monotonic()
        _count(self.run, 1)
        try:
            check_stop()
            if self.wanted and (found := self.wanted.differences(fitness.versions())):
                return self._unfit(found)
            with self._taking_part() as _here.goes_on:
                return self._named(passing.tried(self.task))
        except task_locks.Ended as error:
            return self._unfit([f"does not see the folder of this run: {error}"])
        except FileError as error:
            return Lost(self.index, str(error) + self._place())
        except Stopped:
            raise
        except AdaprepError as error:
            if found := self._lost_sight():
                return self._unfit(found)
            raise AdaprepError(f"{error}{self._place()}") from error
        except OSError as error:
            if found := self._lost_sight():
                return self._unfit(found)
            return Lost(self.index, surprise(error) + self._place())
        except Exception as error:
            return Lost(self.index, surprise(error) + self._place())
        finally:
            _here.goes_on = None
            _count(self.run, -1)

    def _taking_part(self) -> Any:
        """Hold the lock of tasks of the folder that the task writes to, where it is in another process."""
        if self.told and self.site and self.site.written:
            return task_locks.taking_part(self.site.written, self.run)
        return nullcontext()

    def _named(self, result: BlockResult) -> BlockResult:
        """The result with the worker's name in it, where it is one of a cluster."""
        if not self.wanted:
            return result
        place = self._place()
        failures = tuple(replace(f, reason=f.reason + place) for f in result.failures)
        return replace(result, failures=failures, worker=_address())

    def _lost_sight(self) -> list[str]:
        """What of the site a cluster's worker does not see any more."""
        return fitness.lost_sight(self.site) if self.wanted and self.site else []

    def _unfit(self, reasons: Sequence[str]) -> Unfit:
        return Unfit(self.index, "; ".join(reasons), _address(), socket.gethostname())

    def _place(self) -> str:
        """Where this is done, for messages; "" in the process of the command."""
        if not self.told:
            return ""
        worker = f"worker {_address()}" if self.wanted else f"process {os.getpid()}"
        return f" (on {socket.gethostname()}, {worker})"


def _address() -> str:
    """Address of the worker that this thread belongs to."""
    from distributed import get_worker

    return str(get_worker().address)


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


def forget(run: str) -> None:
    """No task of a run is at work in this process any more."""
    _stopped.discard(run)


def check_stop() -> None:
    """Called by tasks between images. Raises Stopped once the run is to end."""
    if getattr(_here, "run", None) in _stopped:
        raise Stopped
    goes_on = getattr(_here, "goes_on", None)
    if goes_on and time.monotonic() - _here.looked > LOOK:
        _here.looked = time.monotonic()
        if not goes_on():
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


def try_image(path: Path, make: Callable[[], T]) -> T:
    """What `make` makes of one image, as `one_image`; faults of disk or network that pass are tried again."""

    def once() -> T:
        with one_image(path):
            return make()

    return passing.tried(once)
