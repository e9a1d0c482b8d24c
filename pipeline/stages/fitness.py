"""What a process must have and see to work on a run: the same adaprep and Python, data, workspace.

Workers are asked by `eval` and plain values: a function of ours could not be unpickled where adaprep is
missing or another.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from pipeline import storage
from pipeline.errors import AdaprepError
from pipeline.workspace import disk

T = TypeVar("T")

WHERE = "(__import__('socket').gethostname(), __import__('platform').python_version())"
"""Expression for the host and the Python of a process, with or without adaprep."""

SAMPLED = 3
"""Files of the data set that each worker looks for."""


@dataclass(frozen=True)
class Site:
    """What the tasks of a run work on, wherever they run."""

    folders: tuple[Path, ...] = ()  # that they write to or read stores from
    files: tuple[Path, ...] = ()  # of the data set, some of those that are read
    written: Path | None = None  # the folder whose lock is held meanwhile


def site(workspace: Path, written: Path | None, files: Sequence[Path]) -> Site:
    """The site of a stage: its workspace, the folder that it writes to, and a few files that are there."""
    return Site((workspace.resolve(),), some_of(files), written.resolve() if written else None)


def some_of(files: Sequence[Path]) -> tuple[Path, ...]:
    """Those that are there, each once."""
    there = [path for path in files if storage.exists(path)]
    return tuple(dict.fromkeys(p if storage.is_address(p) else p.absolute() for p in there))


def ends(frames: Sequence[T]) -> list[T]:
    """The first few and the last, whose files workers are asked for."""
    return [*frames[:SAMPLED], *frames[-1:]]


@dataclass(frozen=True)
class Versions:
    """What decides which bytes a process writes."""

    adaprep: str
    code: str
    python: str

    def differences(self, other: Versions) -> list[str]:
        """What another process, this one being `self`, has instead."""
        if self.adaprep != other.adaprep:
            found = [f"has adaprep {other.adaprep}, this command {self.adaprep}"]
        elif self.code != other.code:
            found = [f"has another adaprep {other.adaprep} than this command: their code differs"]
        else:
            found = []
        if _minor(self.python) != _minor(other.python):
            found.append(f"runs Python {other.python}, this command {self.python}")
        return found


def _minor(python: str) -> list[str]:
    return python.split(".")[:2]


@cache
def versions() -> Versions:
    """Those of this process."""
    from pipeline.workspace.library import adaprep_version

    return Versions(adaprep_version(), _code(), platform.python_version())


def _code() -> str:
    """Digest of adaprep's own code: checkouts of one version may differ."""
    root = Path(__file__).parents[1]
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def question(wanted: Versions, probes: Mapping[str, str], files: Sequence[Path]) -> str:
    """Expression for what a process lacks: `lacking` with these."""
    about = (wanted.adaprep, wanted.code, wanted.python)
    module = "__import__('importlib').import_module('pipeline.stages.fitness')"
    return f"{module}.lacking({about!r}, {dict(probes)!r}, {[str(path) for path in files]!r})"


def lacking(wanted: tuple[str, str, str], probes: Mapping[str, str], files: Sequence[str]) -> list[str]:
    """What this process lacks, each the end of a sentence that begins with its name."""
    found = Versions(*wanted).differences(versions())
    for path, content in probes.items():
        if problem := _unseen(storage.as_path(path), content):
            found.append(problem)
    return found + _unseen_files([storage.as_path(path) for path in files])


def _unseen_files(files: Sequence[Path]) -> list[str]:
    """What is wrong with how this process sees files of the data."""
    try:
        lost = [path for path in files if not storage.exists(path)]
    except AdaprepError as error:  # no credentials, no endpoint
        return [f"cannot read the data: {error}"]
    return [f"does not see the data: {lost[0]} is not there"] if lost else []


def _unseen(probe: Path, content: str) -> str:
    """What is wrong with how this process sees the folder of a probe file; "" if nothing is."""
    folder = probe.parent
    try:
        if probe.stat().st_size != len(content) or probe.read_bytes() != content.encode():
            return f"sees something else at {folder} than this command"
    except FileNotFoundError:
        other = "another folder" if folder.is_dir() else "nothing"
        return f"does not see {folder} as this command does: it has {other} there"
    except OSError as error:
        return f"cannot read {folder}: {error.strerror}"
    except AdaprepError as error:  # no credentials, no endpoint
        return f"cannot read {folder}: {error}"
    if storage.is_address(folder):
        return ""
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"may not write to {folder}"


@contextmanager
def probes(folders: Sequence[Path]) -> Iterator[dict[str, str]]:
    """Write a small file to each folder, for workers to read; nothing is left of them in the end.

    Raises
    ------
    AdaprepError
        A folder cannot be written to.
    """
    name = uuid.uuid4().hex
    made, written = list[Path](), dict[str, str]()
    try:
        for folder in dict.fromkeys(path.resolve() for path in folders):
            with disk.writing(folder):
                if not storage.is_address(folder):
                    made += [path for path in (folder, *folder.parents) if not path.exists()]
                    folder.mkdir(parents=True, exist_ok=True)
                probe = folder / f".probe-{name}"
                written[str(probe)] = f"{name} of {socket.gethostname()}"
                probe.write_bytes(written[str(probe)].encode())
        yield written
    finally:
        for path in written:
            storage.as_path(path).unlink(missing_ok=True)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()


def lost_sight(seen: Site) -> list[str]:
    """What of a site this process does not see, without a probe."""
    found = [f"does not see {folder}" for folder in seen.folders if not folder.is_dir()]
    return found + _unseen_files(seen.files)
