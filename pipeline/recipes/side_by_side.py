"""Trainings of a recipe side by side: each in a process of its own, several at a time."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pipeline
from pipeline.errors import AdaprepError
from pipeline.recipes.steps import Step
from pipeline.stages.engine import cores

COMMAND_LINE = Path(pipeline.__file__).parents[1] / "cli.py"

LOOK_AGAIN = 0.2
"""Seconds between two looks whether a process has ended."""

PATIENCE = 20
"""Seconds in which a process that is told to stop may do so by itself."""


@dataclass
class _Job:
    """A step under way."""

    step: Step
    slot: int
    process: subprocess.Popen[str]
    reader: threading.Thread

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def run(
    steps: Sequence[tuple[str, Step]],
    jobs: int,
    gpus: Sequence[str],
    say: Callable[[str], None],
) -> bool:
    """Do steps by their own command lines, each once what it needs is done.

    Parameters
    ----------
    steps
        Each with its number, "1/7", in the order in which they are begun.
    jobs
        How many at a time. Cores are shared among them, unless OMP_NUM_THREADS says how many each takes.
    gpus
        As in CUDA_VISIBLE_DEVICES; dealt out in turn. Empty: none is hidden from anyone.
    say
        Told every line that a process prints.

    Returns
    -------
    bool
        Whether every file could be used.

    Raises
    ------
    AdaprepError
        A step cannot go on: those that have begun are finished first, and no other is begun.
    """
    crew = _Crew(list(steps), jobs, gpus, say)
    with _stopped_with_us(crew.running):
        crew.begin()
        while crew.running:
            crew.take(_next_to_end(crew.running))
            crew.begin()
    if crew.failed:
        raise AdaprepError("; ".join(crew.failed))
    return crew.went_well


class _Crew:
    """What waits, what runs, and how it went so far."""

    def __init__(
        self, steps: list[tuple[str, Step]], jobs: int, gpus: Sequence[str], say: Callable[[str], None]
    ) -> None:
        self.waiting, self.jobs, self.gpus, self.say = steps, jobs, gpus, say
        self.running: list[_Job] = []
        self.failed: list[str] = []
        self.unfinished = {step.title for _, step in steps}
        self.went_well = True

    def begin(self) -> None:
        """Start what may start, in order; none once a step has failed."""
        while len(self.running) < self.jobs and not self.failed:
            ready = next((s for s in self.waiting if not self.unfinished.intersection(s[1].needs)), None)
            if ready is None:
                return
            self.waiting.remove(ready)
            number, step = ready
            done = step.state() == "done"
            self.say(f"[{number}] {step.title}\n  {'done before' if done else step.command}")
            if done:
                self.unfinished.remove(step.title)
            else:
                slot = min(set(range(self.jobs)) - {job.slot for job in self.running})
                self.running.append(_start(step, slot, self.jobs, self.gpus, self.say))

    def take(self, job: _Job) -> None:
        """Note how a step has ended: well, without some files, or not at all."""
        self.running.remove(job)
        if job.process.returncode and job.step.state() != "done":
            self.failed.append(_describe(job))
            return
        self.unfinished.remove(job.step.title)
        self.went_well &= not job.process.returncode


def _start(step: Step, slot: int, jobs: int, gpus: Sequence[str], say: Callable[[str], None]) -> _Job:
    own = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // jobs)))}
    if gpus:
        own["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    process = subprocess.Popen(
        [sys.executable, str(COMMAND_LINE), *shlex.split(step.command)[1:]],
        env={**_without_options(step.name), **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reader = threading.Thread(target=_pass_on, args=(process, say), daemon=True)
    reader.start()
    return _Job(step, slot, process, reader)


def _without_options(command: str) -> dict[str, str]:
    """The environment without options of a command: the step has its own, and defaults for the rest."""
    mine = f"ADAPREP_{command.upper().replace('-', '_')}_"
    return {name: value for name, value in os.environ.items() if not name.startswith(mine)}


def _pass_on(process: subprocess.Popen[str], say: Callable[[str], None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        say("  " + line.rstrip("\n"))


def _next_to_end(running: Sequence[_Job]) -> _Job:
    while True:
        for job in running:
            if job.process.poll() is not None:
                job.reader.join()
                return job
        time.sleep(LOOK_AGAIN)


def _describe(job: _Job) -> str:
    code = job.process.returncode
    why = f"was ended by {signal.Signals(-code).name}" if code < 0 else "failed, for the reason printed above"
    return f"{job.step.title} {why}"


@contextmanager
def _stopped_with_us(running: Sequence[_Job]) -> Iterator[None]:
    """No process outlives this block, nor this process if it is asked to end."""
    mine = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)) if mine else None
    try:
        yield
    finally:
        for job in running:
            job.stop()
        if mine:
            signal.signal(signal.SIGTERM, before)
