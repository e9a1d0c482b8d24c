"""The connection to a Dask cluster, or to local worker processes: opened once for all that a command runs."""

from __future__ import annotations

import importlib.util
import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from pipeline import doors
from pipeline.errors import AdaprepError
from pipeline.marks import MARK, Writer
from pipeline.screen import detail, say
from pipeline.stages.cluster import Cluster
from pipeline.stages.scheduler import Scheduler

CONNECT = 5.0
"""Seconds to reach a scheduler."""

HAS_DASHBOARD = "'distributed.dashboard.scheduler' in __import__('sys').modules"
"""Expression that is true where a process serves Dask's dashboard."""

NEEDS_BOKEH = "needs Bokeh, which is not installed: pip install bokeh"


class Session:
    """What a command does its work with in other processes; used as a context manager."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._stack = ExitStack()
        self._cluster: Cluster | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def cluster(self) -> Cluster:
        """The workers, reached or started. Raises AdaprepError where they cannot be."""
        if self._cluster is None:
            if self.scheduler.report:
                _check_report(self.scheduler.report)
            client = self._stack.enter_context(_client(self.scheduler))
            self._cluster = Cluster(client, self.scheduler)
            _tell_dashboard(client, self._cluster)
            if self.scheduler.report:
                self._stack.enter_context(_reported(client, self._cluster, self.scheduler.report))
        return self._cluster


@contextmanager
def _client(scheduler: Scheduler) -> Iterator[Any]:
    from distributed import Client
    from distributed.utils import silence_logging_cmgr

    # it stays: asyncio tells of a task's error when the task is freed, which may be after the end
    logging.getLogger("asyncio").addFilter(is_not_of_dask)
    with ExitStack() as stack:
        stack.enter_context(silence_logging_cmgr(logging.CRITICAL + 1))
        if scheduler.address:
            client = _reached(scheduler.address)
        else:
            if doors.are_given():
                stack.enter_context(doors.working_folder())  # the processes import from it what this one did
            with _quiet_children():
                local = stack.enter_context(_started(scheduler))
            client = Client(local, set_as_default=False)
        try:
            yield client
        finally:
            with suppress(OSError, TimeoutError, RuntimeError):
                client.close(timeout=2)


def is_not_of_dask(record: logging.LogRecord) -> bool:
    """Whether a message is about anything but an error of Dask's own, of which nobody asked the outcome."""
    error = record.exc_info[1] if record.exc_info else None
    return not type(error).__module__.startswith("distributed.")


def _reached(address: str) -> Any:
    """The client of a scheduler that runs already."""
    from distributed import Client

    try:
        return Client(address, timeout=CONNECT, set_as_default=False)
    except Exception as error:  # what answers there may be anything
        reason = f"{error or type(error).__name__}"
        raise AdaprepError(
            f"no Dask scheduler answers at {address} ({' '.join(reason.split())[:300]}). "
            f"Start one with: dask scheduler   and workers with: dask worker {address}"
        ) from error


def _started(scheduler: Scheduler) -> Any:
    """That many local worker processes."""
    import dask
    from distributed import LocalCluster

    # Dask has workers give memory back after every array, which takes as long as the work of a stage
    spawning = dict(dask.config.get("distributed.nanny.pre-spawn-environ", {}))
    spawning.pop("MALLOC_TRIM_THRESHOLD_", None)
    quick = {
        "distributed.nanny.pre-spawn-environ": spawning,
        "distributed.worker.profile.enabled": scheduler.report is not None,
    }
    count = scheduler.least or scheduler.workers
    try:
        with dask.config.set(quick):
            started = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address=None,
                # it serves pages in any case: at a port that is free, not at one that another may have
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                silence_logs=logging.CRITICAL,
            )
            if scheduler.least and scheduler.workers:
                started.adapt(minimum=scheduler.least, maximum=scheduler.workers, target_duration="1s")
            return started
    except (OSError, RuntimeError, TimeoutError) as error:
        raise AdaprepError(
            f"cannot start {count} worker processes ({error}): give a smaller number with --workers, "
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


def _tell_dashboard(client: Any, cluster: Cluster) -> None:
    """Say where Dask's dashboard is, or why there is none."""
    if not cluster.address:
        detail("no dashboard: local workers have none; start a scheduler of your own for one")
        return
    shown, link = cluster.ask(lambda: _has_dashboard(client)), None
    with suppress(Exception):  # a dashboard is no condition for work
        link = client.dashboard_link
    if shown and link:
        say(f"dashboard: {link}", err=True)
    else:
        say(f"no dashboard: {cluster.title} was started without one, or without Bokeh", err=True)


def _has_dashboard(client: Any) -> bool:
    """Whether the scheduler serves one; the port for it is open where it does not, too."""
    try:
        return bool(client.run_on_scheduler(eval, HAS_DASHBOARD, {}))
    except (OSError, RuntimeError):
        raise
    except Exception:  # it runs no code of others
        return False


def _check_report(path: Path) -> None:
    """Raise AdaprepError where no performance report can be made, or written to this file."""
    if importlib.util.find_spec("bokeh") is None:
        raise AdaprepError(f"--performance-report {NEEDS_BOKEH}")
    if path.suffix.lower() != ".html":
        raise AdaprepError(
            f"--performance-report {path}: it is a web page. Give it a name that ends in .html"
        )
    Writer().check(path)


@contextmanager
def _reported(client: Any, cluster: Cluster, path: Path) -> Iterator[None]:
    """Write Dask's performance report of what is done meanwhile, marked as a file of ours."""
    from distributed import performance_report

    with Writer().replacing(path) as partial:
        with client.as_current():
            reporting = performance_report(filename=str(partial))
            reporting.__enter__()
        yield
        try:
            with client.as_current():
                reporting.__exit__(None, None, None)
            text = partial.read_text(encoding="utf-8")
            mark = f'<head>\n<meta name="generator" content="{MARK} performance report">'
            partial.write_text(re.sub("<head>", lambda _: mark, text, count=1), encoding="utf-8")
        except Exception as error:  # whatever the scheduler lacks costs the report alone
            raise AdaprepError(
                f"no performance report was written to {path}: {cluster.title} could not make it ({error}). "
                f"It {NEEDS_BOKEH.split(',')[0]} too. The work itself is done."
            ) from error
    say(f"performance report: {path}")
