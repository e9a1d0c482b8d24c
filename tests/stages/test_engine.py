"""The engine: order, events, failures that end a run, stopping."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import AdaprepError, FileError
from pipeline.stages import cluster, engine
from pipeline.stages.engine import BlockResult, Failure, Scheduler

EVERYWHERE = pytest.mark.parametrize(
    "where",
    [Scheduler(threads=1), Scheduler(threads=3), Scheduler(workers=1)],
    ids=["one", "three", "process"],
)


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def started(self, title: str, total: int, done: int = 0) -> None:
        self.events.append((title, total))

    def advanced(self, units: int, images: int, failures: int = 0, note: str = "") -> None:
        self.events.append(("advanced", images))

    def finished(self) -> None:
        self.events.append(("finished", 0))


def work(start: int) -> BlockResult:
    time.sleep(max(0, 0.02 * (3 - start // 2)))  # the first blocks end last
    failures = (Failure(start, f"image {start}", "bad"),) if start == 2 else ()
    return BlockResult(start, start + 2, failures, start * 10)


def break_down(start: int) -> BlockResult:
    if start == 2:
        raise AdaprepError("the disk is full")
    return BlockResult(start, start + 2)


@pytest.fixture
def taken_port() -> Iterator[None]:
    """Somebody, us or another, listens where Dask's dashboard would."""
    with socket.socket() as other:
        with suppress(OSError):
            other.bind(("", 8787))
            other.listen()
        yield


@EVERYWHERE
@pytest.mark.filterwarnings("error")
@pytest.mark.usefixtures("taken_port")
def test_results_come_in_block_order_whatever_order_they_end_in(where: Scheduler) -> None:
    recorder = Recorder()
    summary = engine.run([partial(work, i) for i in (0, 2, 4)], where, "title", recorder, 6)
    assert summary.images == 6
    assert summary.values == [0, 20, 40]
    assert [(f.index, f.reason) for f in summary.failures] == [(2, "bad")]
    assert not summary.ok
    assert recorder.events[0] == ("title", 6)
    assert recorder.events[1:4] == [("advanced", 2)] * 3
    assert recorder.events[-1] == ("finished", 0)


@EVERYWHERE
def test_a_task_that_cannot_go_on_ends_the_run(where: Scheduler) -> None:
    with pytest.raises(AdaprepError, match="the disk is full"):
        engine.run([partial(break_down, i) for i in (0, 2, 4)], where, "title")


def test_tasks_in_flight_hear_that_the_run_is_over() -> None:
    stopped = threading.Event()

    def patient() -> BlockResult:
        for _ in range(500):
            try:
                engine.check_stop()
            except engine.Stopped:
                stopped.set()
                raise
            time.sleep(0.01)
        return BlockResult(0, 1)

    def failing() -> BlockResult:
        time.sleep(0.05)
        raise AdaprepError("over")

    with pytest.raises(AdaprepError, match="over"):
        engine.run([patient, failing], Scheduler(threads=2), "title")
    assert stopped.wait(2)


def test_tasks_in_flight_have_ended_when_the_run_has() -> None:
    at_work = threading.Event()
    ended = threading.Event()

    def patient() -> BlockResult:
        at_work.set()
        time.sleep(0.3)  # between two looks at whether the run is to end
        ended.set()
        engine.check_stop()
        return BlockResult(0, 1)

    def failing() -> BlockResult:
        at_work.wait(5)
        raise AdaprepError("over")

    with pytest.raises(AdaprepError, match="over"):
        engine.run([patient, failing], Scheduler(threads=2), "title")
    assert ended.is_set()


def stumble(start: int) -> BlockResult:
    if start == 2:
        raise ZeroDivisionError("division by zero")
    return BlockResult(start, start + 2)


@EVERYWHERE
def test_a_block_that_nobody_foresaw_to_fail_is_named_after_the_others_were_done(where: Scheduler) -> None:
    done: list[int] = []
    tasks = [engine.Block(partial(stumble, i), engine.listed([f"{i}", f"{i + 1}"])) for i in (0, 2, 4)]
    with pytest.raises(AdaprepError) as caught:
        engine.run(tasks, where, "title", on_block=lambda block: done.append(block.start))
    assert sorted(done) == [0, 4]
    said = str(caught.value)
    assert said.startswith("title: 1 of 3 blocks could not be done:\n")
    assert "  images 2, 3: ZeroDivisionError: division by zero, raised in test_engine.py, line " in said
    assert "All other blocks were done and are kept." in said
    assert ("process" in said) == where.distributed


def test_runs_that_follow_a_stopped_one_are_not_stopped() -> None:
    with pytest.raises(AdaprepError):
        engine.run([partial(break_down, 2)], Scheduler(threads=1), "title")
    assert engine.run([partial(work, 4)], Scheduler(threads=1), "title").images == 2


def test_many_images_are_described_by_the_first_and_the_last() -> None:
    assert engine.listed(["a"]) == "image a"
    assert engine.listed(["a", "b"]) == "images a, b"
    assert engine.listed([f"{i:02}" for i in range(20)]) == "20 images from 00 to 19"


def test_one_image_lets_named_errors_through_and_names_the_others() -> None:
    with pytest.raises(AdaprepError, match="^full$"), engine.one_image(Path("a.png")):
        raise AdaprepError("full")
    with pytest.raises(FileError, match="^a.png: memory ran out"), engine.one_image(Path("a.png")):
        raise MemoryError
    with pytest.raises(FileError, match="^a.png: KeyError: 'x', raised in"), engine.one_image(Path("a.png")):
        raise KeyError("x")
    with pytest.raises(engine.Stopped), engine.one_image(Path("a.png")):
        raise engine.Stopped


def test_a_scheduler_holds_no_more_than_a_few_tasks_and_nothing_that_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from distributed import LocalCluster

    held = []
    outcome = cluster.Cluster.outcome

    def counted(self: cluster.Cluster, index: int, future: Any) -> Any:
        held.append(len(self.futures))
        return outcome(self, index, future)

    monkeypatch.setattr(cluster.Cluster, "outcome", counted)
    monkeypatch.setattr(cluster, "LEAST", 3)
    monkeypatch.setattr(cluster, "AHEAD", 2)
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as running:
        where = Scheduler(address=running.scheduler_address)
        summary = engine.run([partial(work, i) for i in range(0, 40, 2)], where, "title")
        assert not running.scheduler.tasks
    assert summary.values == [10 * i for i in range(0, 40, 2)]
    assert max(held) == 4
    assert held[-1] == 1


class Hanging:
    """A client whose scheduler does not answer."""

    status = "running"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def nthreads(self) -> None:
        self._wait("nthreads")

    def cancel(self, futures: object) -> None:
        self._wait("cancel")

    def _wait(self, name: str) -> None:
        self.asked.append(name)
        threading.Event().wait()


def test_a_scheduler_that_has_not_answered_is_not_asked_to_end_its_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster, "LOOK", 0.05)
    client = Hanging()
    found = cluster.Cluster(client, Scheduler(address="tcp://head:8786", wait=0.05))
    with pytest.raises(AdaprepError, match="has not answered for 0.05 seconds"):
        found.look()
    found.stop("run")
    assert client.asked == ["nthreads"]


def test_threads_give_way_sooner_while_a_stage_runs() -> None:
    before, seen = sys.getswitchinterval(), list[float]()

    def look() -> BlockResult:
        seen.append(sys.getswitchinterval())
        return BlockResult(0, 1)

    engine.run([look], Scheduler(threads=2), "title")
    assert seen == [pytest.approx(engine.GIVE_WAY)]
    assert sys.getswitchinterval() == before

    def fail() -> BlockResult:
        raise AdaprepError("no more")

    with pytest.raises(AdaprepError):
        engine.run([fail], Scheduler(threads=2), "title")
    assert sys.getswitchinterval() == before


def test_nothing_to_do_is_done_at_once() -> None:
    summary = engine.run([], Scheduler(workers=2), "title")
    assert (summary.images, summary.ok) == (0, True)
    assert summary.seconds < 0.5
