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
    waiting, running, failed = list(steps), list[_Job](), list[str]()
    open_titles = {step.title for _, step in steps}
    went_well = True
    with _stopped_with_us(running):
        while waiting or running:
            while len(running) < jobs and not failed:
                ready = next((s for s in waiting if not open_titles.intersection(s[1].needs)), None)
                if ready is None:
                    break
                waiting.remove(ready)
                number, step = ready
                if step.state() == "done":
                    say(f"[{number}] {step.title}\n  done before")
                    open_titles.remove(step.title)
                    continue
                slot = min(set(range(jobs)) - {job.slot for job in running})
                say(f"[{number}] {step.title}\n  {step.command}")
                running.append(_start(step, slot, jobs, gpus, say))
            if not running:
                break
            job = _next_to_end(running)
            running.remove(job)
            if job.process.returncode and job.step.state() != "done":
                failed.append(_describe(job))
            else:
                open_titles.remove(job.step.title)
                went_well &= not job.process.returncode
    if failed:
        raise AdaprepError("; ".join(failed))
    return went_well


def _start(step: Step, slot: int, jobs: int, gpus: Sequence[str], say: Callable[[str], None]) -> _Job:
    own = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, cores() // jobs)))}
    if gpus:
        own["CUDA_VISIBLE_DEVICES"] = gpus[slot % len(gpus)]
    process = subprocess.Popen(
        [sys.executable, str(COMMAND_LINE), *shlex.split(step.command)[1:]],
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reader = threading.Thread(target=_pass_on, args=(process, say), daemon=True)
    reader.start()
    return _Job(step, slot, process, reader)


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
