"""Before work on a cluster: what a worker must have and see, and who may write while a run lasts."""

from __future__ import annotations

import errno
import logging
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline import passing
from pipeline.errors import AdaprepError, BusyError, FileError
from pipeline.stages import connection, engine, fitness
from pipeline.stages.engine import BlockResult, Failure, Scheduler
from pipeline.stages.fitness import Versions
from pipeline.workspace import task_locks


def test_another_version_other_code_and_another_python_are_differences() -> None:
    ours = Versions("1.0", "aa", "3.11.4")
    assert ours.differences(Versions("1.0", "aa", "3.11.9")) == []
    assert ours.differences(Versions("1.1", "bb", "3.11.4")) == ["has adaprep 1.1, this command 1.0"]
    assert "their code differs" in ours.differences(Versions("1.0", "bb", "3.11.4"))[0]
    assert ours.differences(Versions("1.0", "aa", "3.12.0")) == ["runs Python 3.12.0, this command 3.11.4"]


def ask(probes: dict[str, str], files: tuple[Path, ...] = ()) -> list[str]:
    """As a worker is asked."""
    answer: list[str] = eval(fitness.question(fitness.versions(), probes, files))
    return answer


def test_a_probe_is_seen_here_and_nothing_is_left_of_it_nor_of_the_folder_made_for_it(tmp_path: Path) -> None:
    space = tmp_path / "not" / "there"
    with fitness.probes([space]) as probes:
        assert ask(probes) == []
        (probe,) = probes
        assert ask({probe: "what another command wrote"}) == [
            f"sees something else at {space} than this command"
        ]
    assert list(tmp_path.iterdir()) == []
    assert ask(probes) == [f"does not see {space} as this command does: it has nothing there"]


def test_a_file_of_the_data_that_is_not_there_is_named(tmp_path: Path) -> None:
    there = tmp_path / "a.png"
    there.touch()
    assert ask({}, (there,)) == []
    assert ask({}, (there, tmp_path / "b.png")) == [
        f"does not see the data: {tmp_path / 'b.png'} is not there"
    ]


def test_only_tasks_of_the_run_that_leads_take_part_and_hear_when_it_ends(tmp_path: Path) -> None:
    with task_locks.leading(tmp_path, "one"):
        with task_locks.taking_part(tmp_path, "one") as goes_on, task_locks.taking_part(tmp_path, "one"):
            assert goes_on()
            (tmp_path / task_locks.NAME).write_text("", encoding="utf-8")
            assert not goes_on()
        with pytest.raises(task_locks.Ended), task_locks.taking_part(tmp_path, "two"):
            pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(task_locks.Ended), task_locks.taking_part(tmp_path, "one"):
        pass


def test_a_run_ends_once_its_last_task_has(tmp_path: Path) -> None:
    begun, events = threading.Event(), []

    def task() -> None:
        with task_locks.taking_part(tmp_path, "one") as goes_on:
            begun.set()
            while goes_on():
                threading.Event().wait(0.01)
            threading.Event().wait(0.2)
            events.append("task")

    working = threading.Thread(target=task)
    with task_locks.leading(tmp_path, "one"):
        working.start()
        begun.wait(10)
    events.append("run")
    working.join()
    assert events == ["task", "run"]


def test_the_next_run_waits_for_tasks_of_one_that_was_killed_and_says_who_is_at_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_locks, "PATIENCE", 0.2)
    (tmp_path / task_locks.NAME).write_text("killed", encoding="utf-8")
    with task_locks.taking_part(tmp_path, "killed"):
        with pytest.raises(BusyError, match=f"still at work in {tmp_path}"):
            task_locks.clear(tmp_path)
        with pytest.raises(BusyError), task_locks.leading(tmp_path, "next"):
            pass
    task_locks.clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def failing(times: int, code: int, calls: list[int]) -> str:
    calls.append(code)
    if len(calls) <= times:
        try:
            raise OSError(code, os.strerror(code))
        except OSError as error:
            raise FileError("a.png: cannot be read") from error
    return "read"


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passing, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(passing, "_vain", 0)


@pytest.mark.usefixtures("hurried")
def test_faults_that_pass_are_tried_again_a_few_times_and_others_are_not() -> None:
    calls: list[int] = []
    assert engine.try_image(Path("a.png"), partial(failing, 3, errno.EIO, calls)) == "read"
    for code, tries in ((errno.EIO, 4), (errno.ENOENT, 1)):
        calls.clear()
        with pytest.raises(FileError, match="^a.png: cannot be read$"):
            engine.try_image(Path("a.png"), partial(failing, 9, code, calls))
        assert len(calls) == tries


@pytest.mark.usefixtures("hurried")
def test_a_disk_that_is_gone_for_good_is_not_waited_for_at_every_image() -> None:
    calls: list[int] = []
    for _ in range(passing.VAIN + 5):
        with pytest.raises(FileError):
            engine.try_image(Path("a.png"), partial(failing, 10**6, errno.ESTALE, calls))
    assert len(calls) == 4 * passing.VAIN + 5


@pytest.mark.usefixtures("hurried")
def test_a_whole_task_is_tried_again_where_a_fault_passes() -> None:
    calls: list[int] = []

    def task() -> BlockResult:
        calls.append(1)
        if len(calls) < 3:
            raise OSError(errno.ESTALE, "Stale file handle")
        return BlockResult(0, 1)

    assert engine.run([task], Scheduler(threads=1), "title").images == 1


def see_or_not(start: int, blind: int) -> BlockResult:
    """A block of one image whose file the worker of one number does not see."""
    from distributed import get_worker

    threading.Event().wait(0.05)
    if get_worker().name == blind:
        return BlockResult(start, start + 1, (Failure(start, f"{start}", "no such file", True),))
    return BlockResult(start, start + 1, (), start)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a scheduler in this process with two workers, `0` and `1`."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as found:
        yield found.scheduler_address


def test_a_worker_that_sees_no_file_of_a_block_gets_no_more_and_its_images_are_done(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = [partial(see_or_not, i, 0) for i in range(12)]
    summary = engine.run(tasks, Scheduler(address=address), "title")
    assert summary.values == list(range(12))
    assert summary.ok
    assert capsys.readouterr().err.count("It gets no more tasks, and others do its images.") == 1


def miss(start: int) -> BlockResult:
    return BlockResult(start, start + 1, (Failure(start, f"{start}", "no such file", True),))


def test_files_that_no_worker_sees_are_failures_and_cost_no_worker(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = engine.run([partial(miss, i) for i in range(3)], Scheduler(address=address), "title")
    assert [f.index for f in summary.failures] == [0, 1, 2]
    assert all("worker inproc://" in f.reason for f in summary.failures)
    assert "no more tasks" not in capsys.readouterr().err


def test_one_connection_serves_all_that_a_command_runs(
    address: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "distributed.dashboard.scheduler", raising=False)  # of other tests
    site = fitness.site(tmp_path, tmp_path, ())
    with engine.connected(Scheduler(address=address)) as reached:
        engine.check(reached, site)
        for start in (1, 2):
            summary = engine.run([partial(see_or_not, start, -1)], reached, "title", site=site)
            assert summary.values == [start]
    said = capsys.readouterr().err
    assert said.count("dashboard") == 1
    assert f"no dashboard: the scheduler at {address} was started without one" in " ".join(said.split())
    assert list(tmp_path.iterdir()) == []


def test_a_performance_report_needs_bokeh_and_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = Scheduler(workers=1, report=tmp_path / "report.html")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(AdaprepError, match="--performance-report needs Bokeh.*pip install bokeh"):
        engine.run([partial(miss, 0)], found, "title")


def test_errors_of_dask_that_nobody_asked_about_are_not_told_and_others_are() -> None:
    from distributed.client import AllExit

    def record(error: Exception | None) -> logging.LogRecord:
        info = None if error is None else (type(error), error, None)
        return logging.LogRecord(
            "asyncio", logging.ERROR, "", 0, "Task exception was never retrieved", (), info
        )

    assert not connection.is_not_of_dask(record(AllExit()))
    assert connection.is_not_of_dask(record(ValueError()))
    assert connection.is_not_of_dask(record(None))
