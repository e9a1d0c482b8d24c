"""Real Dask schedulers and workers in processes of their own, as on a cluster, for tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.harness import World, start, wait_until
from tests.processes import REPOSITORY, Forked

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
"""
"""Ends all import of some packages, in a file that Python runs as it starts."""


class Cluster:
    """A scheduler and its workers; whatever of them is left is killed in the end."""

    def __init__(self, folder: Path, variables: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.processes: list[Forked | subprocess.Popen[bytes]] = []
        where = ("--host", "127.0.0.1", "--port", str(self.port))
        self.scheduler = self._start("scheduler", *where, variables=variables)
        wait_until(self._accepts)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _start(
        self,
        part: str,
        *options: str,
        code: Path = REPOSITORY,
        variables: Mapping[str, str] | None = None,
        first: str = "",
    ) -> Forked | subprocess.Popen[bytes]:
        if code == REPOSITORY and not variables and not first:
            self.processes.append(dask(part, *options, folder=self.folder))
            return self.processes[-1]
        command = [sys.executable, "-m", "dask", part, *options, "--no-dashboard"]
        paths = f"{self.folder}{os.pathsep}{code}" if code != REPOSITORY or variables else str(code)
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, **(variables or {})}
        if first:  # in a mount namespace of its own
            command = ["unshare", "--mount", "sh", "-ec", f'{first}; exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.processes.append(process)
        return process

    def worker(
        self,
        *options: str,
        code: Path = REPOSITORY,
        variables: Mapping[str, str] | None = None,
        first: str = "",
    ) -> Forked | subprocess.Popen[bytes]:
        """Start a worker.

        Parameters
        ----------
        code
            Where it finds adaprep.
        first
            Commands of a shell that run before it in a mount namespace of its own.
        """
        given = options or ("--no-nanny", "--nthreads", "1")
        return self._start("worker", self.address, *given, code=code, variables=variables, first=first)

    def begin(self, world: World, command: str = "boundaries", *more: str) -> Forked:
        """Start one of the usual commands on this cluster."""
        return start(world.arguments(command, "--scheduler", self.address, *more))

    def wait_for(self, count: int) -> None:
        """Until the scheduler has so many workers."""
        from distributed import Client

        with Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=120)

    def end(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()


def dask(part: str, *options: str, folder: Path = REPOSITORY) -> Forked:
    """A scheduler or a worker."""
    return Forked([*options, "--no-dashboard"], program=f"distributed.cli.dask_{part}:main", folder=folder)


@contextmanager
def running(folder: Path, variables: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """A cluster without workers yet, whose processes work in `folder`; the variables are the scheduler's."""
    folder.mkdir(exist_ok=True)
    with ExitStack() as stack:
        cluster = Cluster(folder, variables)
        stack.callback(cluster.end)
        yield cluster


def other_code(folder: Path) -> Path:
    """A copy of adaprep that differs in a comment."""
    shutil.copytree(
        REPOSITORY / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    with (folder / "pipeline" / "names.py").open("a", encoding="utf-8") as file:
        file.write("\n# another\n")
    return folder


def block_imports(folder: Path, *names: str) -> None:
    """Let processes that have `folder` on their path import none of these packages."""
    (folder / "sitecustomize.py").write_text(BLOCKED.format(names=names), encoding="utf-8")


def need_namespaces() -> None:
    """Skip where a process may not mount things for itself alone."""
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], check=False, capture_output=True
    )
    if tried.returncode:
        pytest.skip("may not mount in a namespace here (needs root)")
