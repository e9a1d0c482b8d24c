"""Two threads, processes, cluster workers against one of each, and what a task costs beside its work.

    python -m benchmarks.scaling

Full-size (3384 x 2710) label maps in ApolloScape's layout are made in a temporary folder, and the stage
`boundaries` runs on them into new workspaces. Workers are started, and all code is compiled, before the clock
starts. One and two of a kind follow each other, and the ratio is taken pair by pair. Hashing on two threads
shows what the machine gives meanwhile, tasks that do nothing what a task costs.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import click

from benchmarks import many
from benchmarks.running import machine_scaling, make_maps
from pipeline.stages import engine

KINDS = ("threads", "processes", "cluster workers")


@dataclass(frozen=True)
class Scaling:
    """Two of a kind against one, and one against a thread."""

    kind: str
    images_per_second: float  # of one
    against_a_thread: float  # one of them against one thread
    two_against_one: float
    machine: float  # the same of hashing on two threads, which is all that the machine gives
    task_ms: float  # of a task that does nothing, one after the other
    task_in_images: float  # the same, in label maps that one of them does meanwhile
    peak_mib: float  # of a worker; 0 for threads, which share this process


def seconds(root: Path, where: engine.Scheduler, images: int, per_task: int) -> float:
    """How long `boundaries` takes on the first label maps, without starting anything."""
    from pipeline.datasets import registry
    from pipeline.stages import boundaries
    from pipeline.workspace.stores import Workspace

    data = registry.load("apolloscape", root)
    with tempfile.TemporaryDirectory() as workspace:
        folder = Workspace(Path(workspace)).folder("apolloscape", "train")
        found, todo = boundaries.prepare(folder, data, "train", boundaries.BoundaryOptions(), limit=images)
        summary = boundaries.run(folder, found, todo, where, images_per_task=per_task)
    if not summary.ok or summary.images != images:
        raise click.ClickException(f"{len(summary.failures)} label maps could not be used")
    return summary.seconds


def do_nothing(place: int) -> engine.BlockResult:
    """A task of one image."""
    return engine.BlockResult(place, place + 1)


def task_seconds(where: engine.Scheduler, tasks: int) -> float:
    """How long one of many tasks takes that do nothing but begin and end, as those of a stage do."""
    with tempfile.TemporaryDirectory() as folder:
        site = engine.Site((Path(folder),), (), Path(folder))
        work = [engine.Block(partial(do_nothing, i), f"image {i}") for i in range(tasks)]
        return engine.run(work, where, "", total=tasks, site=site).seconds / tasks


def peak_mib() -> float:
    """Largest resident memory of this process, MiB."""
    return many.peak_mib(resource.getrusage(resource.RUSAGE_SELF))


def peak_of_workers(where: engine.Scheduler) -> float:
    """Largest resident memory of any worker, MiB; 0 where there are none."""
    if not where.session:
        return 0.0
    peaks: dict[str, float] = where.session.cluster().client.run(peak_mib)
    return max(peaks.values())


@contextmanager
def dask(*arguments: str) -> Iterator[None]:
    """One of Dask's programs as a process that works meanwhile."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", "dask", *arguments], env=environment, **quiet)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def cluster(workers: int) -> Iterator[engine.Scheduler]:
    """A scheduler and so many workers of one thread, all in processes of their own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    none = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    with ExitStack() as stack:
        stack.enter_context(dask("scheduler", "--host", "127.0.0.1", "--port", str(port), *none))
        _wait_until_answered(port)
        for _ in range(workers):
            stack.enter_context(dask("worker", address, "--nthreads", "1", "--no-nanny", *none))
        yield stack.enter_context(engine.connected(engine.Scheduler(address=address, wait=120)))


def _wait_until_answered(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise click.ClickException(f"no scheduler answers at port {port}")


@contextmanager
def workers_of(kind: str, count: int) -> Iterator[engine.Scheduler]:
    """So many threads, processes or cluster workers."""
    if kind == "threads":
        yield engine.Scheduler(threads=count)
    elif kind == "processes":
        with engine.connected(engine.Scheduler(workers=count)) as where:
            yield where
    else:
        with cluster(count) as where:
            yield where


def warm_up(root: Path, where: engine.Scheduler, count: int) -> None:
    """Let each worker do a block, so that it has loaded and compiled what it needs."""
    if where.address:
        while len(where.session.cluster().client.nthreads()) < count:
            time.sleep(0.2)
    seconds(root, where, 16 * count, 1)


@dataclass
class Rounds:
    """What was measured of a kind, one number per round."""

    kind: str
    one: engine.Scheduler
    two: engine.Scheduler
    alone: list[float] = field(default_factory=list)  # seconds of one
    together: list[float] = field(default_factory=list)  # of two

    def result(self, images: int, machine: Sequence[float], thread: float, tasks: int) -> Scaling:
        """The medians; `thread` is the speed of one thread."""
        task = task_seconds(self.one, tasks)
        speed = images / statistics.median(self.alone)
        gain = statistics.median(a / b for a, b in zip(self.alone, self.together, strict=True))
        of_thread = speed / (thread or speed)
        hashing, peak = statistics.median(machine), peak_of_workers(self.two)
        return Scaling(self.kind, speed, of_thread, gain, hashing, 1000 * task, task * speed, peak)


def measure(root: Path, images: int, per_task: int, rounds: int, tasks: int) -> list[Scaling]:
    """Every kind in each round, one and two of it after the other, between two measurements of hashing."""
    with ExitStack() as stack:
        start = stack.enter_context
        kinds = [Rounds(k, start(workers_of(k, 1)), start(workers_of(k, 2))) for k in KINDS]
        for kind in kinds:
            warm_up(root, kind.one, 1)
            warm_up(root, kind.two, 2)
        machine = [machine_scaling()]
        for _ in range(rounds):
            for kind in kinds:
                kind.alone.append(seconds(root, kind.one, images, per_task))
                kind.together.append(seconds(root, kind.two, images, per_task))
                machine.append(machine_scaling())
        found = list[Scaling]()
        for kind in kinds:
            thread = found[0].images_per_second if found else 0.0
            found.append(kind.result(images, machine, thread, tasks))
    return found


def table(found: Sequence[Scaling]) -> str:
    """As in docs/scaling.md."""
    lines = [
        "| | one against one thread | two against one | a task that does nothing | memory of a worker |",
        "|---|---|---|---|---|",
    ]
    for one in found:
        task = f"{one.task_ms:.1f} ms, {one.task_in_images:.2f} label maps"
        memory = f"{one.peak_mib:.0f} MiB" if one.peak_mib else ""
        gains = f"{one.against_a_thread:.2f} x | {one.two_against_one:.2f} x"
        lines.append(f"| {one.kind} | {gains} | {task} | {memory} |")
    lines.append(f"| hashing, which holds no lock | | {found[0].machine:.2f} x | | |")
    return "\n".join(lines)


@click.command()
@click.option("--images", default=96, show_default=True, help="Label maps per run.")
@click.option("--per-task", default=8, show_default=True, help="Label maps per task.")
@click.option("--rounds", default=5, show_default=True, help="Runs with one and two of each kind.")
@click.option("--tasks", default=400, show_default=True, help="Tasks that do nothing.")
@click.option("--json", "as_json", is_flag=True)
def main(images: int, per_task: int, rounds: int, tasks: int, as_json: bool) -> None:
    """Measure and print."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = "1"
    with tempfile.TemporaryDirectory() as folder:
        make_maps(Path(folder), max(images, 32))
        found = measure(Path(folder), images, per_task, rounds, tasks)
    click.echo(json.dumps([asdict(one) for one in found], indent=2) if as_json else table(found))


if __name__ == "__main__":
    main()
