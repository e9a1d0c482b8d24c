"""A stage's tasks on workers: local processes, or those of a Dask cluster that is there already.

What can go wrong with either is told in a sentence within seconds: no workers, workers that have another
adaprep or do not see the data, workers that die, a scheduler that goes away.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pipeline.errors import AdaprepError
from pipeline.screen import say
from pipeline.stages import fitness
from pipeline.stages import work as tasks
from pipeline.stages.fitness import Site
from pipeline.stages.scheduler import LISTED, Scheduler
from pipeline.stages.work import BlockResult, Lost, Unfit, Work, surprise
from pipeline.workspace import task_locks

T = TypeVar("T")
Ended = BlockResult | Lost | Unfit

GRACE = 60.0
"""Seconds that a run which ends early waits for its tasks in flight."""

AHEAD, LEAST = 4, 16
"""Tasks that the scheduler holds for each thread, and at least: no worker waits for the client."""

LOOK = 1.0
"""Seconds between two looks at the cluster."""

DEATHS = 4
"""Workers that a block may cost before it is given up, as Dask counts."""


def run(
    name: str, work: Sequence[Work], cluster: Cluster, take: Callable[[BlockResult | Lost], None]
) -> None:
    """Do all work on the workers. Raises AdaprepError when the cluster cannot do it."""
    cluster.wait_for_workers()
    site = work[0].site
    if cluster.address:
        cluster.check(site or Site())
    with ExitStack() as stack:
        if site and site.written:
            stack.enter_context(task_locks.leading(site.written, name))
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
        self.address, self.wait = scheduler.address, scheduler.wait
        self.most = scheduler.workers or 0
        self.futures: dict[int, Any] = {}  # of the tasks that are with the scheduler, by their index
        self.bound: dict[int, frozenset[str]] = {}  # the workers that may do them, where not all may
        self.threads: dict[str, int] = {}  # of each worker
        self.had_workers = False
        self.unfit: dict[str, str] = {}  # workers that get no more tasks, and why
        self.blind: dict[int, dict[str, str]] = {}  # blocks that workers saw no file of, by their index
        self.deaths: Counter[int] = Counter()
        self.fit: set[Site] = set()  # what all workers were found to see
        self.looked = -LOOK
        self.alone_since: float | None = None
        self.silent = False  # it has not answered, and is not waited for again

    @property
    def title(self) -> str:
        return f"the scheduler at {self.address}" if self.address else "the scheduler of the local workers"

    def gone(self) -> AdaprepError:
        return AdaprepError(
            f"{self.title} is gone: it ended, or the connection broke. What was finished is kept: "
            f"start {'it' if self.address else 'the command'} again, then run the same command."
        )

    def ask(self, question: Callable[[], T]) -> T:
        """An answer of the scheduler. Raises AdaprepError where it is gone, or silent for `wait` seconds."""
        answers: queue.Queue[Any] = queue.Queue()

        def answer() -> None:
            try:
                answers.put((question(), None))
            except BaseException as error:
                answers.put((None, error))

        threading.Thread(target=answer, daemon=True).start()
        try:
            value, error = answers.get(timeout=max(self.wait, LOOK))
        except queue.Empty:
            self.silent = True
            raise AdaprepError(
                f"{self.title}, or one of its workers, has not answered for {self.wait:g} seconds. What was "
                f"finished is kept: see what holds it up, then run the same command."
            ) from None
        if isinstance(error, OSError | RuntimeError | CancelledError):
            raise self.gone() from error
        if error is not None:
            raise error
        found: T = value
        return found

    def look(self) -> None:
        """Raise AdaprepError if the scheduler is gone, or has had no fit worker for `wait` seconds."""
        if time.monotonic() - self.looked < LOOK:
            return
        if self.client.status != "running":
            raise self.gone()
        self.threads = self.ask(self.client.nthreads)
        self.looked = time.monotonic()
        if self.usable():
            self.had_workers, self.alone_since = True, None
        elif self.alone_since is None:
            self.alone_since = time.monotonic()
            print(f"{self._alone()}; waiting {self.wait:g} seconds for one", file=sys.stderr, flush=True)
        elif time.monotonic() - self.alone_since > self.wait:
            raise AdaprepError(f"{self._alone()}. Nothing came within {self.wait:g} seconds.")

    def usable(self) -> frozenset[str]:
        """Workers that are there and may be given tasks."""
        return frozenset(self.threads.keys() - self.unfit.keys())

    def _alone(self) -> str:
        if not self.address:
            return "no local worker could be started, or all of them ended"
        if self.unfit.keys() & self.threads.keys():
            now = "has no workers left that can do this work"
        else:
            now = "has lost all its workers" if self.had_workers else "has no workers yet"
        return f"{self.title} {now}: start some with: dask worker {self.address}"

    def wait_for_workers(self) -> None:
        """Wait for the first one. Raises AdaprepError when none comes."""
        self.looked = -LOOK
        self.look()
        while self.alone_since is not None:
            time.sleep(LOOK / 2)
            self.look()

    def check(self, site: Site) -> None:
        """Have every worker see the site, and have this process's adaprep and Python.

        Workers that came since the command began, and do not, get no tasks. Raises AdaprepError where a
        command begins with such a worker, or goes on with no other.
        """
        if site in self.fit:
            return
        self.wait_for_workers()
        wanted = fitness.versions()
        with fitness.probes(site.folders) as probes:
            places = self._answers(fitness.WHERE)
            lacking = self._answers(fitness.question(wanted, probes, site.files))
        lacking |= self.ask(lambda: self._scheduler_lacks(fitness.question(wanted, {}, ())))
        unfit: dict[str, list[str]] = {}
        for address, answer in lacking.items():
            if address in self.unfit:
                continue
            place = places.get(address)
            host, python = place if isinstance(place, tuple) else ("an unknown host", wanted.python)
            reasons = self._reasons(answer) + (
                wanted.differences(fitness.Versions(wanted.adaprep, wanted.code, python))
                if isinstance(answer, Exception)
                else []
            )
            on = "" if address == self.title else f"on {host} "
            if reasons:
                unfit[address] = [f"{on}{reason}" for reason in reasons]
        if unfit and not (self.fit and self.title not in unfit and self.usable() - unfit.keys()):
            raise AdaprepError(_refusal(self._named(unfit), begun=bool(self.fit)))
        for address, reasons in unfit.items():
            self._exclude(address, "; ".join(reasons))
        self.fit.add(site)

    def _named(self, unfit: Mapping[str, Sequence[str]]) -> list[str]:
        """A line for each reason: who, and what of it."""
        return [
            f"{'' if address == self.title else 'the worker '}{address} {reason}"
            for address, reasons in unfit.items()
            for reason in reasons
        ]

    def _answers(self, expression: str) -> dict[str, Any]:
        """What each worker answers, or the exception that it raised."""
        return dict(self.ask(lambda: self.client.run(eval, expression, {}, on_error="return")))

    def _scheduler_lacks(self, expression: str) -> dict[str, Any]:
        """What the scheduler answers, which unpickles tasks too; nothing where it runs no code of others."""
        try:
            return {self.title: self.client.run_on_scheduler(eval, expression, {})}
        except (ImportError, AttributeError) as error:
            return {self.title: error}
        except Exception:
            return {}

    @staticmethod
    def _reasons(answer: Any) -> list[str]:
        """What a worker lacks, by its answer to `fitness.question`."""
        if isinstance(answer, ModuleNotFoundError) and (answer.name or "").startswith("pipeline."):
            return ["has another version of adaprep than this command"]
        if isinstance(answer, ImportError | AttributeError):  # another package of that name has others
            return [f"cannot import adaprep: {answer}"]
        if isinstance(answer, Exception):
            return [f"did not answer: {surprise(answer)}"]
        return list(answer)

    def results(self, work: Sequence[Work]) -> Iterator[BlockResult | Lost]:
        """Do all of it, and give what comes of each as it ends. Raises AdaprepError for what ends the run.

        A few tasks for each thread are with the scheduler at a time. What has ended is dropped at once: a
        worker that dies takes with it only what it had not finished.
        """
        ended: queue.Queue[tuple[int, Any]] = queue.Queue()
        known = {task.index: task for task in work}
        waiting = deque(work)
        self.futures, self.bound = {}, {}
        while waiting or self.futures:
            self.look()
            self._fill(waiting, ended)
            try:
                index, future = ended.get(timeout=LOOK)
            except queue.Empty:
                for index in self._stranded():
                    waiting.appendleft(known[index])
                    if self.deaths[index] >= DEATHS:
                        waiting.popleft()
                        yield Killed(index, _killed("", DEATHS))
                continue
            if self.futures.get(index) is not future:
                continue  # of a try that was given up
            result = self.outcome(index, future)
            self._drop(index)
            if isinstance(result, Unfit) or self._is_elsewhere(index, result):
                if isinstance(result, Unfit):
                    self._exclude(result.worker, f"on {result.host} {result.reason}")
                waiting.appendleft(known[index])
            else:
                yield result

    def _fill(self, waiting: deque[Work], ended: queue.Queue[tuple[int, Any]]) -> None:
        """Give the scheduler as many tasks as it holds at a time, for the workers that may do them."""
        usable = self.usable()
        sighted = usable.difference(*self.blind.values())
        while waiting and len(self.futures) < self.window() and usable:
            task = waiting.popleft()
            able = sighted or usable - self.blind.get(task.index, {}).keys() or usable
            bound = able if able != self.threads.keys() else frozenset()
            where = {"workers": sorted(bound), "allow_other_workers": False} if bound else {}
            future = self.client.submit(task, pure=False, **where)
            self.futures[task.index] = future
            if bound:
                self.bound[task.index] = bound
            future.add_done_callback(lambda f, i=task.index: ended.put((i, f)))

    def window(self) -> int:
        """How many tasks the scheduler holds at a time."""
        return max(LEAST, AHEAD * max(self.most, sum(self.threads.values())))

    def _drop(self, index: int) -> None:
        self.futures.pop(index, None)
        self.bound.pop(index, None)

    def _stranded(self) -> list[int]:
        """Give up the tasks that only workers may do which are not there any more; which they are."""
        found = [i for i, bound in self.bound.items() if not bound & self.threads.keys()]
        for index in found:
            self.client.cancel([self.futures[index]])
            self._drop(index)
            self.deaths[index] += 1
        return found

    def _is_elsewhere(self, index: int, result: BlockResult | Lost) -> bool:
        """Whether a block of which a worker saw no file is to be tried on another.

        The worker gets no tasks meanwhile, and none any more once another sees them.
        """
        if not isinstance(result, BlockResult) or not result.worker:
            return False
        blind = self.blind.setdefault(index, {})
        if result.unseen:
            blind[result.worker] = result.failures[0].reason
            if self.usable() - blind.keys():
                return True
        else:
            for worker, reason in blind.items():
                self._exclude(worker, f"could read no file of a block that another reads: {reason}")
        del self.blind[index]
        return False

    def _exclude(self, worker: str, reason: str) -> None:
        """Give a worker no more tasks, and say so."""
        if worker not in self.unfit:
            self.unfit[worker] = reason
            say(f"the worker {worker} {reason}. It gets no more tasks, and others do its images.", err=True)

    def outcome(self, index: int, future: Any) -> Ended:
        """What a future came to. Raises AdaprepError for what ends the run."""
        from distributed import KilledWorker

        while True:
            try:
                result: Ended = future.result(timeout=10 * LOOK)
                return result
            except TimeoutError:
                self.look()  # its worker died with the result: it is done again
            except CancelledError as error:
                raise self.gone() from error
            except KilledWorker as error:
                place = getattr(error.last_worker, "address", error.last_worker)
                return Killed(index, _killed(f", last {place}", error.allowed_failures + 1))
            except AdaprepError:
                raise
            except ImportError as error:
                raise AdaprepError(
                    _refusal([f"a worker cannot import what the work needs: {error}"], begun=True)
                ) from error
            except Exception as error:
                return Lost(index, surprise(error))

    def stop(self, name: str) -> None:
        """Tell the tasks in flight to end, and wait until they have, but no longer than GRACE seconds.

        A scheduler that hangs passes nothing on: tasks see at the folder that they write to that it is over.
        """

        def stop() -> None:
            with suppress(Exception):  # whatever ends the run is told; this is to be as clean as can be
                self.client.cancel(list(self.futures.values()))
                self.client.run(tasks.stop, name, on_error="ignore")
                while sum(self.client.run(tasks.at_work, name, on_error="ignore").values()):
                    time.sleep(0.05)

        if self.client.status == "running" and not self.silent:
            stopping = threading.Thread(target=stop, daemon=True)
            stopping.start()
            stopping.join(GRACE)


def _refusal(unfit: Sequence[str], begun: bool) -> str:
    """Why workers cannot do the work, one line each."""
    lines = [f"  {line}" for line in unfit[:LISTED]]
    if len(unfit) > LISTED:
        lines.append(f"  ... and {len(unfit) - LISTED} more")
    return (
        "the workers cannot do this work:\n" + "\n".join(lines) + "\n"
        f"{'What was finished is kept' if begun else 'Nothing was begun'}. Install adaprep in the Python "
        "environment that they run in, the same version everywhere, and mount data and workspace under the "
        "same paths; or stop these workers. Then run the same command again."
    )


def _killed(last: str, times: int) -> str:
    return (
        f"the worker process died at work on them, {times} times{last}: killed, "
        f"most likely for want of memory. Run fewer --workers at once, or give each more memory"
    )
