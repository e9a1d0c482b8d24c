"""Worker processes that are killed, and clusters that do not work: other blocks go on, and a sentence."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import AdaprepError
from pipeline.stages import connection, engine
from pipeline.stages.engine import Block, BlockResult, Scheduler
from tests.faults.harness import (
    REPOSITORY,
    TRACEBACK,
    Outcome,
    World,
    any_block_done,
    assert_whole,
    children,
    contents,
    end,
    heed_ctrl_c,
    make_large_world,
    make_world,
    start,
    start_python,
    wait_until,
)
from tests.faults.workers import dask
from tests.processes import Forked


def kill_own_process(start: int, mark: Path, times: int) -> BlockResult:
    """Die like a process that was killed for its memory, as often as asked; then do the block."""
    deaths = len(list(mark.parent.glob(f"{mark.name}-*")))
    if start == 8 and deaths < times:
        mark.with_name(f"{mark.name}-{deaths}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return BlockResult(start, start + 8, (), start)


def blocks(mark: Path, times: int) -> list[Block]:
    starts = (0, 8, 16)
    return [
        Block(partial(kill_own_process, i, mark, times), f"images {i}.png to {i + 7}.png") for i in starts
    ]


@pytest.mark.slow
def test_a_block_whose_worker_is_always_killed_is_named_and_the_others_are_done(tmp_path: Path) -> None:
    done: list[int] = []
    with pytest.raises(AdaprepError) as caught:
        engine.run(
            blocks(tmp_path / "died", 100),
            Scheduler(workers=1),
            "boundaries of blobs/train",
            on_block=lambda block: done.append(block.start),
        )
    said = str(caught.value)
    assert "1 of 3 blocks could not be done" in said
    assert "images 8.png to 15.png: the worker process died at work on them, 4 times, last tcp://" in said
    assert "want of memory" in said
    assert "Run the same command again" in said
    assert sorted(done) == [0, 16]


@pytest.mark.slow
def test_a_worker_that_is_killed_twice_costs_nothing(tmp_path: Path) -> None:
    summary = engine.run(blocks(tmp_path / "died", 2), Scheduler(workers=1), "title")
    assert summary.values == [0, 8, 16]


@pytest.mark.slow
def test_a_killed_worker_of_a_command_costs_nothing(tmp_path: Path) -> None:
    world = make_large_world(tmp_path)
    process = start_python(world.arguments("boundaries", "--workers", "2"))
    wait_until(lambda: any_block_done(world))
    workers = [pid for pid in children(process.pid) if b"spawn_main" in cmdline(pid)]
    assert workers
    os.kill(workers[-1], signal.SIGKILL)
    done = end(process)
    assert done.code == 0, done.output
    assert TRACEBACK not in done.output
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


def cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def wait_and_write(file: Path, seconds: float) -> BlockResult:
    for _ in range(int(seconds / 0.05)):
        time.sleep(0.05)
        engine.check_stop()
    file.touch()
    return BlockResult(0, 1)


def fail_soon() -> BlockResult:
    time.sleep(0.5)
    raise AdaprepError("the disk is full")


@pytest.mark.parametrize("where", [Scheduler(threads=2), Scheduler(workers=2)], ids=["threads", "processes"])
def test_no_task_writes_after_the_run_has_ended(where: Scheduler, tmp_path: Path) -> None:
    late = tmp_path / "late"
    with pytest.raises(AdaprepError, match="the disk is full"):
        engine.run([partial(wait_and_write, late, 4), fail_soon], where, "title")
    time.sleep(0.2)
    assert not late.exists()


def test_no_scheduler_at_an_address_is_a_sentence_that_says_how_to_start_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connection, "CONNECT", 1.0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(AdaprepError, match=f"no Dask scheduler answers at {address}.*dask scheduler"):
        engine.run([fail_soon], Scheduler(address=address), "title")


@pytest.fixture
def scheduler() -> Iterator[tuple[str, Forked]]:
    """Address and process of a Dask scheduler without workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = dask("scheduler", "--host", "127.0.0.1", "--port", str(port))
    wait_until(lambda: accepts(port))
    yield f"tcp://127.0.0.1:{port}", process
    process.kill()
    process.wait()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def begin(world: World, address: str) -> Forked:
    return start(world.arguments("boundaries", "--scheduler", address))


def test_a_scheduler_without_workers_is_told_at_once_and_waited_for_a_stated_time(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from distributed import LocalCluster

    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as empty:
        address = empty.scheduler_address
        with pytest.raises(AdaprepError) as caught:
            engine.run([fail_soon], Scheduler(address=address, wait=1.0), "title")
    sentence = f"the scheduler at {address} has no workers yet: start some with: dask worker {address}"
    assert f"{sentence}; waiting 1 seconds for one" in capsys.readouterr().err
    assert str(caught.value) == f"{sentence}. Nothing came within 1 seconds."


@pytest.mark.slow
def test_workers_that_come_late_are_waited_for(scheduler: tuple[str, Forked], tmp_path: Path) -> None:
    world = make_world(tmp_path)
    process = begin(world, scheduler[0])
    time.sleep(4)
    worker = dask("worker", scheduler[0], "--no-nanny")
    try:
        done = end(process)
    finally:
        worker.kill()
        worker.wait()
    assert done.code == 0, done.output
    assert "has no workers yet" in done.text
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


@pytest.mark.slow
def test_a_scheduler_that_goes_away_is_a_sentence_and_the_next_run_goes_on(
    scheduler: tuple[str, Forked], tmp_path: Path
) -> None:
    world = make_large_world(tmp_path)
    worker = dask("worker", scheduler[0], "--no-nanny", "--nthreads", "1")
    try:
        process = begin(world, scheduler[0])
        wait_until(lambda: any_block_done(world))
        scheduler[1].kill()
        begun = time.monotonic()
        done = end(process)
        assert time.monotonic() - begun < 20
    finally:
        worker.kill()
        worker.wait()
    assert done.code == 1, done.output
    assert TRACEBACK not in done.output
    assert f"the scheduler at {scheduler[0]} is gone" in done.text
    world.prepare("boundaries")
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


@pytest.mark.slow
def test_ctrl_c_ends_the_tasks_on_a_cluster_before_the_command(
    scheduler: tuple[str, Forked], tmp_path: Path
) -> None:
    world = make_large_world(tmp_path)
    worker = dask("worker", scheduler[0], "--no-nanny", "--nthreads", "2")
    try:
        process = start(world.arguments("boundaries", "--scheduler", scheduler[0]), first=heed_ctrl_c)
        wait_until(lambda: any_block_done(world))
        process.send_signal(signal.SIGINT)
        done = end(process)
        left = contents(world.space)
        time.sleep(1)
        assert contents(world.space) == left
    finally:
        worker.kill()
        worker.wait()
    assert done.code == 130, done.output
    assert TRACEBACK not in done.output
    assert not [name for name in left if name.endswith(".partial")]
    world.prepare("boundaries")
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


@pytest.mark.slow
def test_workers_of_a_killed_command_end_with_it(tmp_path: Path) -> None:
    world = make_large_world(tmp_path)
    process = start_python(world.arguments("boundaries", "--workers", "2"))
    wait_until(lambda: any_block_done(world))
    workers = children(process.pid)
    assert workers
    process.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), seconds=20)
    process.communicate()
    world.prepare("boundaries")
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


WITHOUT_ADAPREP = """
import sys
sys.path[:] = [path for path in sys.path if path != {repository!r}]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.modules.pop("pipeline", None)
from distributed.cli.dask_worker import main
main(["{address}", "--no-nanny", "--nthreads", "1", "--no-dashboard"])
"""


@pytest.mark.slow
def test_a_worker_without_adaprep_is_named(scheduler: tuple[str, Forked], tmp_path: Path) -> None:
    world = make_world(tmp_path)
    code = WITHOUT_ADAPREP.format(repository=str(REPOSITORY), address=scheduler[0])
    elsewhere = {**os.environ, "PYTHONPATH": str(tmp_path)}
    worker = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=elsewhere, stderr=subprocess.DEVNULL
    )
    try:
        done: Outcome = end(begin(world, scheduler[0]))
    finally:
        worker.kill()
        worker.wait()
    assert done.code == 1
    assert TRACEBACK not in done.output
    assert "the worker tcp://127.0.0.1:" in done.text
    assert "cannot import adaprep: No module named" in done.text
