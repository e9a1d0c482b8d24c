"""The engine: order, events, failures that end a run, stopping."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from pipeline.errors import AdaprepError
from pipeline.stages import engine
from pipeline.stages.engine import BlockResult, Failure, Scheduler

EVERYWHERE = pytest.mark.parametrize(
    "where",
    [Scheduler(threads=1), Scheduler(threads=3), Scheduler(workers=1)],
    ids=["one", "three", "process"],
)


class Recorder:
    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def started(self, title: str, total: int) -> None:
        self.events.append((title, total))

    def advanced(self, images: int, failures: int) -> None:
        self.events.append(("advanced", images))

    def finished(self) -> None:
        self.events.append(("finished", 0))


def work(start: int) -> BlockResult:
    time.sleep(0.02 * (3 - start // 2))  # the first blocks end last
    failures = (Failure(start, f"image {start}", "bad"),) if start == 2 else ()
    return BlockResult(start, start + 2, failures, start * 10)


def break_down(start: int) -> BlockResult:
    if start == 2:
        raise AdaprepError("the disk is full")
    return BlockResult(start, start + 2)


@EVERYWHERE
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


def test_nothing_to_do_is_done_at_once() -> None:
    summary = engine.run([], Scheduler(workers=2), "title")
    assert (summary.images, summary.ok) == (0, True)
    assert summary.seconds < 0.5
