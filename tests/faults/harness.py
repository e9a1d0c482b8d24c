"""A tiny data set, the commands run on it, and what a workspace holds, for tests that break something."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli import main
from pipeline.stages import boundaries
from pipeline.stages.frame import FrameBoundaries
from tests.conftest import CLASSES, blobs
from tests.processes import REPOSITORY, Forked, context

TRACEBACK = "Traceback (most recent call last)"


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    output: str  # both streams, white space as it was

    @property
    def text(self) -> str:
        """The output in one line, for sentences that a terminal's width broke."""
        return " ".join(self.output.split())


@dataclass(frozen=True)
class World:
    """A data set and a workspace, and what people do with them."""

    folder: Path
    space: Path

    @property
    def yaml(self) -> Path:
        return self.folder / "data" / "blobs.yaml"

    def labels(self, split: str = "train") -> list[Path]:
        return sorted((self.folder / "data" / "labels" / split).iterdir())

    def images(self, split: str = "train") -> list[Path]:
        return sorted((self.folder / "data" / "images" / split).iterdir())

    def at(self, name: str) -> World:
        """The same data with another workspace."""
        return World(self.folder, self.folder / name)

    def copied(self, name: str) -> World:
        """The same data with a copy of the workspace, if there is one yet."""
        other = self.at(name)
        if self.space.exists():
            shutil.copytree(self.space, other.space, symlinks=True)
        return other

    @property
    def commands(self) -> dict[str, tuple[str, ...]]:
        """The usual way through, in order."""
        lines = {
            "boundaries": f"--dataset {shlex.quote(str(self.yaml))} --grid 4",
            "solve-tensors": "--lambda 1",
            "sample": "--resolution 8 --sampler uniform --sampler proposal --grid 4 --aux-resolution 16",
            "train": "--sampler uniform --resolution 8 --epochs 3 --batch-size 4 --save-every 2 --device cpu",
            "evaluate": "--device cpu",
            "report": "--device cpu",
        }
        return {command: (command, *shlex.split(line)) for command, line in lines.items()}

    def arguments(self, command: str, *more: str) -> list[str]:
        return [*self.commands[command], *more, "--workspace", str(self.space)]

    def do(self, command: str, *more: str) -> Outcome:
        """Run one of the usual commands in this process."""
        return adaprep(*self.arguments(command, *more))

    def prepare(self, *commands: str) -> World:
        """Run these commands, which must succeed."""
        for command in commands:
            outcome = self.do(command)
            assert outcome.code == 0, outcome.output
        return self

    def prepare_split(self, split: str) -> World:
        """Make the boundaries of one split, which must succeed."""
        outcome = self.do("boundaries", "--split", split)
        assert outcome.code == 0, outcome.output
        return self

    def verify(self, *more: str) -> Outcome:
        return adaprep("verify", *more, "--workspace", str(self.space))

    def status(self) -> Outcome:
        return adaprep("status", "--workspace", str(self.space))


@dataclass(frozen=True)
class Stage:
    """One command that nothing disturbed: the workspace before it and after it, and how long it took."""

    before: World
    after: World
    seconds: float


def make_world(
    folder: Path, train: int = 20, val: int = 4, size: tuple[int, int] = (40, 56), pictures: bool = True
) -> World:
    """A data set of generated label maps and images (or without); the workspace does not exist yet."""
    rng = np.random.default_rng(5)
    root = folder / "data"
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for i in range(count):
            write_pair(root, split, f"{i:04}", rng, size, pictures)
    (root / "blobs.yaml").write_text(CLASSES, encoding="utf-8")
    return World(folder, folder / "space")


def make_large_world(folder: Path) -> World:
    """Enough label maps, without images, for a run of `boundaries` to be met while it is at work."""
    return make_world(folder, train=120, size=(600, 800), pictures=False)


def write_pair(
    root: Path, split: str, name: str, rng: np.random.Generator, size: tuple[int, int], pictures: bool
) -> None:
    labels = blobs(rng, *size)
    Image.fromarray(labels).save(root / "labels" / split / f"{name}.png")
    if pictures:
        picture = np.where(labels[..., None] == 0, 90, 170).astype(np.uint8)
        picture = picture + rng.integers(0, 40, (*size, 3), dtype=np.uint8)
        Image.fromarray(picture).save(root / "images" / split / f"{name}.png")


def repaint(label: Path, seed: int = 99) -> None:
    """Put other content of the same size in pixels into a label map."""
    with Image.open(label) as picture:
        width, height = picture.size
    Image.fromarray(blobs(np.random.default_rng(seed), height, width)).save(label)


def adaprep(*arguments: str) -> Outcome:
    """Run a command in this process; an exception that reaches its caller fails the test, as a traceback."""
    result = CliRunner().invoke(main, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"adaprep {' '.join(arguments)} ended in a traceback") from result.exception
    return Outcome(result.exit_code, result.output)


def start(arguments: Sequence[str], first: Callable[[], None] | None = None) -> Forked:
    """Run a command in a process of its own."""
    return Forked(arguments, first=first)


def slowly() -> None:
    """What a process does first: `boundaries` then takes its time with each label map of its threads."""
    quick = boundaries.process_frame

    def process_frame(*arguments: Any) -> FrameBoundaries:
        time.sleep(0.05)
        return quick(*arguments)

    boundaries.process_frame = process_frame


def start_python(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Run a command in a process that Python starts, as one must be that starts others."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, str(REPOSITORY / "cli.py"), *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def end(process: Forked | subprocess.Popen[str], seconds: float = 600) -> Outcome:
    output, _ = process.communicate(timeout=seconds)
    assert process.returncode is not None
    return Outcome(process.returncode, output)


def finished(arguments: Sequence[str], first: Callable[[], None] | None = None) -> Outcome:
    return end(start(arguments, first))


def run_timed(arguments: Sequence[str]) -> float:
    """Run a command, which must succeed, in a process of its own; how many seconds it took."""
    context()  # what it is forked from is no part of it
    begun = time.monotonic()
    done = finished(arguments)
    assert done.code == 0, done.output
    return time.monotonic() - begun


def kill(process: Forked) -> bool:
    """SIGKILL to one process; whether it was still alive."""
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "what was waited for did not happen"
        time.sleep(0.005)


def any_block_done(world: World, split: str = "train") -> bool:
    """Whether `boundaries` has finished a block."""
    status = world.space / "blobs" / split / "boundaries.zarr" / "status"
    return any(status.glob("c.*"))


def contents(space: Path) -> dict[str, str]:
    """Every file of a workspace with the hash of what it says: without locks, and without times.

    Stamps are times, and a hint alone. Checkpoints are compared by their tensors, bit for bit: the file
    around them holds a time. TensorBoard's files are named by the time and the process.
    """
    return {
        str(path.relative_to(space)): _digest(path, space)
        for path in sorted(space.rglob("*"))
        if path.is_file() and path.name not in (".lock", "stamps.npy") and "tfevents" not in path.name
    }


def _digest(path: Path, space: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".pt":
        content = repr(sorted(_flat(_loaded(path)))).encode()
    elif path.name == "history.csv":
        rows = csv.DictReader(io.StringIO(content.decode()))
        content = repr([_timeless(row) for row in rows]).encode()
    elif path.suffix == ".json" and b"seconds" in content:
        content = repr(_timeless(json.loads(content))).encode()
    elif path.name == "dataset.json":  # it says where the data lie as seen from the workspace, too
        content = repr({**json.loads(content), "beside": None}).encode()
    elif path.suffix == ".html":
        content = re.sub(TIMES_IN_PAGES, b"", content.replace(bytes(space), b""))
    return hashlib.sha256(content).hexdigest()


def _loaded(path: Path) -> Any:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


TIMES_IN_PAGES = rb"\d{4}-\d\d-\d\d \d\d:\d\d|[\d.]+ (s|ms|min)\b|adaprep-shown\" content=\"[0-9a-f]{64}"
"""The digest of what a page shows is of files that hold times."""
TIMES = ("seconds", "time", "created", "images_per_second", "when")


def _timeless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _timeless(v) for k, v in sorted(value.items()) if not any(t in str(k) for t in TIMES)}
    return [_timeless(v) for v in value] if isinstance(value, list) else value


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    import torch

    if isinstance(value, torch.Tensor):
        numbers = value.detach().contiguous().view(-1).view(torch.uint8).numpy()
        yield name, hashlib.sha256(numbers.tobytes()).hexdigest() + str(value.shape)
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if not any(t in str(key) for t in TIMES):
                yield from _flat(part, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            yield from _flat(part, f"{name}.{i}")
    else:
        yield name, repr(value)


def assert_whole(world: World, undisturbed: World) -> None:
    """The workspace says the same as one that nothing happened to, and nothing is left lying about."""
    left, right = contents(world.space), contents(undisturbed.space)
    assert not [name for name in left if name.endswith(".partial")]
    assert left.keys() == right.keys()
    assert [name for name in left if left[name] != right[name]] == []


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of its own of so many bytes; skips where mounting is not allowed."""
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False
    ).returncode:
        pytest.skip("may not mount a small disk here (needs root)")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def resize_disk(folder: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder that nobody may write to, not even root; skips where mounting is not allowed."""
    if subprocess.run(["mount", "--bind", folder, folder], check=False).returncode:
        pytest.skip("may not mount here (needs root)")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield
    finally:
        # lazily: pytest keeps logged tracebacks, whose frames keep lists of images open
        subprocess.run(["umount", "-l", folder], check=True)


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


def limit_file_size(size: int) -> None:
    """For `first`: no file may grow beyond so many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def heed_ctrl_c() -> None:
    """For `first`: a shell that runs the tests in the background lets them ignore it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
