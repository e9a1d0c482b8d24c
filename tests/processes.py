"""Commands in processes of their own that begin at once: forked from one that has imported what they need.

Python imports for three seconds before it trains, and tests kill, stop and starve hundreds of commands. What
is said here of a forked process holds for one that Python has started, but for what modules read from the
environment as they are imported; tests of that, and one at least in every room, start Python.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from multiprocessing import forkserver, get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


class Forked:
    """A command at work; what `subprocess.Popen` is of one whose output is text.

    Parameters
    ----------
    arguments
        Of `adaprep`.
    environment
        Variables beside those of this process.
    first
        What the process does before all else, as `preexec_fn`; it can be pickled.
    apart
        Whether the two streams are told apart; otherwise all is the first one's.
    program
        What is started: a function and its module.
    folder
        Where it works.
    """

    def __init__(
        self,
        arguments: Sequence[object],
        environment: Mapping[str, str] | None = None,
        first: Callable[[], None] | None = None,
        apart: bool = False,
        program: str = "cli:main",
        folder: Path = REPOSITORY,
    ) -> None:
        self.args = [program, *map(str, arguments)]
        variables = {**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})}
        self._files = []
        for _ in range(1 + apart):
            with tempfile.NamedTemporaryFile(delete=False) as file:
                self._files.append(Path(file.name))
        about = (self.args, variables, first, self._files, folder)
        self._process = context().Process(target=_work, args=about)
        self._process.start()
        self._said: tuple[str, str] | None = None

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float = 600) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """What it has printed when it has ended."""
        self.wait(timeout)
        if self._said is None:
            self._said = self.so_far(), "".join(path.read_text("utf-8") for path in self._files[1:])
            for path in self._files:
                path.unlink()
        return self._said

    def so_far(self) -> str:
        """What it has printed until now."""
        return self._files[0].read_text(encoding="utf-8")


def run(
    arguments: Sequence[object], first: Callable[[], None] | None = None, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with its two streams apart."""
    process = Forked(arguments, first=first, apart=True)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def together(arguments: Sequence[object], timeout: float = 300) -> list[subprocess.CompletedProcess[str]]:
    """Run a command to its end in two processes that torchrun could have started."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    named = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank, **named} for rank in range(2)]
    begun = [Forked(arguments, {name: str(of[name]) for name in of}, apart=True) for of in ranks]
    try:
        said = [process.communicate(timeout) for process in begun]
    finally:
        for process in begun:
            process.kill()
    return [
        subprocess.CompletedProcess(process.args, process.wait(), *texts)
        for process, texts in zip(begun, said, strict=True)
    ]


def die_at_move(number: int) -> None:
    """For `first`: the process is killed as it moves one file more than so many to its name."""
    replace = os.replace
    left = [number]

    def replace_or_die(*names: Any, **options: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*names, **options)

    os.replace = replace_or_die


@cache
def context() -> ForkServerContext:
    """Starts the process that is forked; its own environment says how many threads libraries take."""
    found = get_context("forkserver")
    found.set_forkserver_preload(["tests.warm"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        forkserver.ensure_running()
    begun = found.Process()  # all that is imported has been when this one ends
    begun.start()
    begun.join()
    return found


def _work(
    arguments: list[str],
    environment: dict[str, str],
    first: Callable[[], None] | None,
    streams: list[Path],
    folder: Path,
) -> None:
    """Be a process that Python has just started with these arguments."""
    for descriptor, path in ((1, streams[0]), (2, streams[-1])):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.dup2(handle, descriptor)
        os.close(handle)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", buffering=1, encoding="utf-8", closefd=False) for n in (1, 2))
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = arguments
    if first is not None:
        first()
    module, _, name = arguments[0].partition(":")
    try:
        getattr(import_module(module), name)()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
