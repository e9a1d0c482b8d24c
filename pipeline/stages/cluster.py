"""Where a stage's tasks run in other processes: local workers, or a Dask cluster that is there already.

What can go wrong with either is told in a sentence within seconds: no scheduler, no workers, workers
without adaprep, workers that die, a scheduler that goes away.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Lost, Scheduler, Work

CONNECT = 5.0
"""Seconds to reach a scheduler."""

WAIT = 30.0
"""Seconds that a run waits for the first worker, and for another once all have left."""

GRACE = 60.0
"""Seconds that a run which ends early waits for its tasks in flight."""

AHEAD, LEAST = 4, 16
"""Tasks that the scheduler holds for each thread, and at least: no worker waits for the client."""

LOOK = 1.0
"""Seconds between two looks at the cluster while nothing is finished."""

PROBE = "__import__('importlib').import_module('pipeline.workspace.stores').adaprep_version()"


def run(
    name: str, work: Sequence[Work], scheduler: Scheduler, take: Callable[[BlockResult | Lost], None]
) -> None:
    """Do all work on the workers. Raises AdaprepError when the cluster cannot do it."""
    with _client(scheduler) as client:
        cluster = Cluster(client, scheduler)
        cluster.wait_for_workers()
        cluster.check_adaprep()
        killed: list[Killed] = []
        try:
            for result in cluster.results(work):
                killed.append(result) if isinstance(result, Killed) else take(result)
            for lost in killed:
                # Dask also blames tasks that only waited at a worker that died: alone, each shows what it is
                for result in cluster.results([work[lost.index]]) if len(killed) > 1 else [lost]:
                    take(result)
        except BaseException:
            cluster.stop(name)
            raise


@dataclass(frozen=True)
class Killed(Lost):
    """A block whose workers died."""


class Cluster:
    """A client's view of the scheduler and its workers, with a sentence for each way it can fail."""

    def __init__(self, client: Any, scheduler: Scheduler) -> None:
        self.client = client
        self.address = scheduler.address
        self.futures: dict[int, Any] = {}  # of the tasks that are with the scheduler, by their index
        self.threads, self.counted = 0, -LOOK
        self.had_workers = False
        self.alone_since: float | None = None

    @property
    def title(self) -> str:
        return f"the scheduler at {self.address}" if self.address else "the scheduler of the local workers"

    def has_workers(self) -> bool:
        """Whether any worker is there. Raises AdaprepError when the scheduler is gone."""
        try:
            if self.client.status == "running":
                return bool(self.client.scheduler_info()["workers"])
        except (OSError, RuntimeError) as error:
            raise self.gone() from error
        raise self.gone()

    def gone(self) -> AdaprepError:
        return AdaprepError(
            f"{self.title} is gone: it ended, or the connection broke. What was finished is kept: "
            f"start {'it' if self.address else 'the command'} again, then run the same command."
        )

    def look(self) -> None:
        """Raise AdaprepError if the scheduler is gone, or has had no worker for WAIT seconds."""
        if self.has_workers():
            self.had_workers, self.alone_since = True, None
            return
        if self.alone_since is None:
            self.alone_since = time.monotonic()
            print(f"{self._alone()}; waiting {WAIT:g} seconds for one", file=sys.stderr, flush=True)
        elif time.monotonic() - self.alone_since > WAIT:
            raise AdaprepError(f"{self._alone()}. Nothing came within {WAIT:g} seconds.")

    def _alone(self) -> str:
        if not self.address:
            return "no local worker could be started, or all of them ended"
        now = "has lost all its workers" if self.had_workers else "has no workers yet"
        return f"{self.title} {now}: start some with: dask worker {self.address}"

    def wait_for_workers(self) -> None:
        """Wait for the first one. Raises AdaprepError when none comes."""
        self.look()
        while self.alone_since is not None:
            time.sleep(LOOK / 2)
            self.look()

    def check_adaprep(self) -> None:
        """Raise AdaprepError unless scheduler and workers have the adaprep that this process has.

        Asked by a built-in function: one of ours could not be unpickled where adaprep is missing.
        """
        from pipeline.workspace.stores import adaprep_version

        if not self.address:
            return
        try:
            answers = dict(self.client.run(eval, PROBE, {}, on_error="return"))
        except (OSError, RuntimeError, CancelledError) as error:
            raise self.gone() from error
        try:
            answers[self.title] = self.client.run_on_scheduler(eval, PROBE, {})
        except (ImportError, AttributeError) as error:
            answers[self.title] = error
        except Exception:  # some schedulers run no code of others; then their own errors have to do
            answers.pop(self.title, None)
        for place, answer in answers.items():
            who = place if place == self.title else f"the worker {place}"
            if isinstance(answer, ImportError | AttributeError):  # another package of that name has others
                raise self._cannot_import(who, answer)
            if isinstance(answer, str) and answer != adaprep_version():
                raise AdaprepError(
                    f"{who} has adaprep {answer}, this process {adaprep_version()}: "
                    f"install the same version on both and start it again."
                )

    def _cannot_import(self, who: str, error: Exception) -> AdaprepError:
        return AdaprepError(
            f"{who} cannot import adaprep: {error}. Install adaprep in the Python environment that it runs "
            f"in and start it again."
        )

    def results(self, work: Sequence[Work]) -> Iterator[BlockResult | Lost]:
        """Do all of it, and give what comes of each as it ends. Raises AdaprepError for what ends the run.

        A few tasks for each thread are with the scheduler at a time. What has ended is dropped at once: a
        worker that dies takes with it only what it had not finished.
        """
        ended: queue.Queue[int] = queue.Queue()
        waiting = iter(work)
        self.futures = {}
        while True:
            for task in islice(waiting, max(0, self.window() - len(self.futures))):
                future = self.client.submit(task, pure=False)
                self.futures[task.index] = future
                future.add_done_callback(lambda _, i=task.index: ended.put(i))
            if not self.futures:
                return
            try:
                index = ended.get(timeout=LOOK)
            except queue.Empty:
                self.look()
                continue
            result = self.outcome(index, self.futures[index])
            del self.futures[index]
            yield result

    def window(self) -> int:
        """How many tasks the scheduler holds at a time, by the threads that its workers had a moment ago."""
        if time.monotonic() - self.counted > LOOK:
            try:
                self.threads = sum(self.client.nthreads().values())
            except (OSError, RuntimeError) as error:
                raise self.gone() from error
            self.counted = time.monotonic()
        return max(LEAST, AHEAD * self.threads)

    def outcome(self, index: int, future: Any) -> BlockResult | Lost:
        """What a future came to. Raises AdaprepError for what ends the run."""
        from distributed import KilledWorker

        while True:
            try:
                result: BlockResult | Lost = future.result(timeout=10 * LOOK)
                return result
            except TimeoutError:
                self.look()  # its worker died with the result: it is done again
            except CancelledError as error:
                raise self.gone() from error
            except KilledWorker as error:
                return Killed(index, _killed(error))
            except AdaprepError:
                raise
            except ImportError as error:
                raise self._cannot_import("a worker", error) from error
            except Exception as error:
                return Lost(index, engine.surprise(error))

    def stop(self, name: str) -> None:
        """Tell the tasks in flight to end, and wait until they have, but no longer than GRACE seconds."""

        def stop() -> None:
            with suppress(Exception):  # whatever ends the run is told; this is to be as clean as can be
                self.client.cancel(list(self.futures.values()))
                self.client.run(engine.stop, name, on_error="ignore")
                while sum(self.client.run(engine.at_work, name, on_error="ignore").values()):
                    time.sleep(0.05)

        if self.client.status == "running":
            stopping = threading.Thread(target=stop, daemon=True)
            stopping.start()
            stopping.join(GRACE)


def _killed(error: Any) -> str:
    worker = error.last_worker
    place = getattr(worker, "address", worker)
    return (
        f"the worker process died at work on them, {error.allowed_failures + 1} times, last {place}: killed, "
        f"most likely for want of memory. Run fewer --workers at once, or give each more memory"
    )


@contextmanager
def _client(scheduler: Scheduler) -> Iterator[Any]:
    from distributed import Client, LocalCluster
    from distributed.utils import silence_logging_cmgr

    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
        if scheduler.address:
            try:
                client = Client(scheduler.address, timeout=CONNECT, set_as_default=False)
            except (OSError, TimeoutError, ValueError) as error:
                raise AdaprepError(
                    f"no Dask scheduler answers at {scheduler.address} ({error}). "
                    f"Start one with: dask scheduler   and workers with: dask worker {scheduler.address}"
                ) from error
        else:
            if doors.are_given():
                stack.enter_context(doors.working_folder())  # the processes import from it what this one did
            with _quiet_children():
                local = stack.enter_context(_started(LocalCluster, scheduler.workers))
            client = Client(local, set_as_default=False)
        try:
            yield client
        finally:
            with suppress(OSError, TimeoutError, RuntimeError):
                client.close(timeout=2)


def _started(kind: Any, workers: int | None) -> Any:
    """That many local worker processes."""
    import dask

    # Dask has workers give memory back after every array, which takes as long as the work of a stage
    spawning = dict(dask.config.get("distributed.nanny.pre-spawn-environ", {}))
    spawning.pop("MALLOC_TRIM_THRESHOLD_", None)
    quick = {
        "distributed.nanny.pre-spawn-environ": spawning,
        "distributed.worker.profile.enabled": False,
    }
    try:
        with dask.config.set(quick):
            return kind(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                silence_logs=logging.CRITICAL,
            )
    except (OSError, RuntimeError, TimeoutError) as error:
        raise AdaprepError(
            f"cannot start {workers} worker processes ({error}): give a smaller number with --workers, "
            f"or use threads"
        ) from error


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
