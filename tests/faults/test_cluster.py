"""A cluster of real processes: what workers lack is named before work, what goes wrong costs nothing."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import (
    TRACEBACK,
    World,
    any_block_done,
    assert_whole,
    end,
    kill,
    make_large_world,
    make_world,
    start_python,
    wait_until,
)
from tests.faults.workers import Cluster, block_imports, need_namespaces, other_code, running

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with running(tmp_path / "workers") as found:
        yield found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> World:
    """What a run makes of many label maps that nothing disturbs."""
    return make_large_world(tmp_path_factory.mktemp("large")).at("undisturbed").prepare("boundaries")


@pytest.fixture
def large(undisturbed: World, tmp_path: Path) -> World:
    """The same label maps with a workspace that does not exist yet."""
    return World(undisturbed.folder, tmp_path / "space")


def test_workers_of_another_version_or_that_see_other_files_are_named_before_anything_is_written(
    cluster: Cluster, tmp_path: Path
) -> None:
    need_namespaces()
    world = make_world(tmp_path, pictures=False)
    world.space.mkdir()
    cluster.worker()
    cluster.worker(code=other_code(tmp_path / "other"))
    cluster.worker(first=f"mount -t tmpfs none {world.folder / 'data'}")
    cluster.worker(first=f"mount -t tmpfs none {world.space}")
    cluster.wait_for(4)
    done = end(cluster.begin(world))
    assert done.code == 1, done.output
    assert TRACEBACK not in done.output
    assert done.text.count("the worker tcp://127.0.0.1:") == 3
    assert "has another adaprep" in done.text
    assert f"does not see the data: {world.labels()[0]} is not there" in done.text
    assert f"does not see {world.space} as this command does" in done.text
    assert list(world.space.iterdir()) == []


def test_a_worker_that_comes_late_and_has_other_code_gets_no_tasks(
    cluster: Cluster, large: World, undisturbed: World, tmp_path: Path
) -> None:
    cluster.worker()
    process = cluster.begin(large)
    wait_until(lambda: any_block_done(large))
    cluster.worker(code=other_code(tmp_path / "other"))
    done = end(process)
    assert done.code == 0, done.output
    assert_whole(large, undisturbed)


def test_a_worker_that_sees_a_part_of_the_data_alone_gets_no_more_tasks_and_others_do_its_images(
    cluster: Cluster, tmp_path: Path
) -> None:
    need_namespaces()
    world = make_world(tmp_path, train=80, val=0, pictures=False)
    part = tmp_path / "part"
    part.mkdir()
    for label in (*world.labels()[:8], *world.labels()[-8:]):  # whole blocks, with what workers are asked for
        (part / label.name).write_bytes(label.read_bytes())
    cluster.worker()
    threads = ("--no-nanny", "--nthreads", "4")  # four tasks at once, of which it can do two at most
    cluster.worker(*threads, first=f"mount --bind {part} {world.labels()[0].parent}")
    cluster.wait_for(2)
    done = end(cluster.begin(world, "boundaries", "--split", "train"))
    assert done.code == 0, done.output
    assert done.text.count("It gets no more tasks") == 1
    assert "could read no file of a block that another reads" in done.text
    assert_whole(world, world.at("undisturbed").prepare_split("train"))


def test_workers_need_no_torch_and_no_settings_of_the_process_that_sends_tasks(
    cluster: Cluster, tmp_path: Path
) -> None:
    world = make_world(tmp_path, train=12)
    block_imports(cluster.folder, "torch", "timm", "torchvision", "tensorboard", "pandas", "matplotlib")
    variables = {"ZARR_ARRAY__WRITE_EMPTY_CHUNKS": "False", "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    cluster.worker(variables=variables)
    cluster.wait_for(1)
    for command in ("boundaries", "solve-tensors", "sample"):
        done = end(cluster.begin(world, command))
        assert done.code == 0, done.output
    assert_whole(world, world.at("undisturbed").prepare("boundaries", "solve-tensors", "sample"))


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_that_are_killed_at_random_moments_cost_nothing(
    cluster: Cluster, large: World, undisturbed: World, seed: int
) -> None:
    chance = random.Random(seed)
    workers = [cluster.worker(), cluster.worker()]
    cluster.wait_for(2)
    process = cluster.begin(large)
    wait_until(lambda: any_block_done(large) or process.poll() is not None)
    for _ in range(3):
        time.sleep(chance.uniform(0, 0.6))
        workers.pop(chance.randrange(2)).kill()
        workers.append(cluster.worker())
    done = end(process)
    assert done.code == 0, done.output
    assert TRACEBACK not in done.output
    assert_whole(large, undisturbed)


def test_a_killed_command_leaves_tasks_that_the_next_one_waits_for(
    cluster: Cluster, large: World, undisturbed: World
) -> None:
    cluster.worker("--no-nanny", "--nthreads", "2")
    process = cluster.begin(large)
    wait_until(lambda: any_block_done(large))
    assert kill(process)
    again = end(cluster.begin(large))
    assert again.code == 0, again.output
    assert_whole(large, undisturbed)


def test_a_killed_worker_of_a_cluster_that_has_no_other_is_said_within_seconds(
    cluster: Cluster, large: World, undisturbed: World
) -> None:
    worker = cluster.worker()
    cluster.wait_for(1)
    process = cluster.begin(large, "boundaries", "--wait", "3")
    wait_until(lambda: any_block_done(large))
    worker.kill()
    done = end(process, seconds=60)
    assert done.code == 1, done.output
    assert TRACEBACK not in done.output
    assert f"has lost all its workers: start some with: dask worker {cluster.address}" in done.text
    assert "Nothing came within 3 seconds" in done.text
    large.prepare("boundaries")
    assert_whole(large, undisturbed)


def test_a_scheduler_that_hangs_is_said_within_seconds(cluster: Cluster, large: World) -> None:
    cluster.worker()
    cluster.wait_for(1)
    process = cluster.begin(large, "boundaries", "--wait", "3")
    wait_until(lambda: any_block_done(large))
    cluster.scheduler.send_signal(signal.SIGSTOP)
    done = end(process, seconds=120)
    assert done.code == 1, done.output
    assert TRACEBACK not in done.output
    assert "has not answered for 3 seconds" in done.text


def test_failures_of_images_name_the_worker_that_met_them(cluster: Cluster, tmp_path: Path) -> None:
    world = make_world(tmp_path, pictures=False)
    world.labels()[3].write_bytes(b"no picture")
    cluster.worker()
    cluster.wait_for(1)
    done = end(cluster.begin(world))
    assert done.code == 1, done.output
    assert f"{world.labels()[3]}" in done.output.replace("\n", "") or world.labels()[3].name in done.text
    assert ", worker tcp://127.0.0.1:" in done.text


def test_as_many_local_processes_as_there_is_work_for(tmp_path: Path) -> None:
    world = make_world(tmp_path, pictures=False)
    done = end(start_python(world.arguments("boundaries", "--adaptive", "1:2")))
    assert done.code == 0, done.output
    assert TRACEBACK not in done.output
    assert_whole(world, world.at("undisturbed").prepare("boundaries"))


def test_a_block_that_takes_more_memory_than_a_worker_has_is_a_sentence(tmp_path: Path) -> None:
    from functools import partial

    from pipeline.errors import AdaprepError
    from pipeline.stages import engine
    from tests.faults.memory_tasks import do_or_fill_memory

    done: list[int] = []
    sooner = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
    with running(tmp_path / "workers", sooner) as cluster:
        cluster.worker("--nthreads", "1", "--memory-limit", "400MiB")
        with pytest.raises(AdaprepError) as caught:
            engine.run(
                [engine.Block(partial(do_or_fill_memory, i), f"images {i}") for i in range(3)],
                engine.Scheduler(address=cluster.address),
                "title",
                on_block=lambda block: done.append(block.start),
            )
    assert "images 1: the worker process died at work on them, 2 times" in str(caught.value)
    assert sorted(done) == [0, 2]
